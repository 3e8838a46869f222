"""The quick start of the README, done as it is written, on fresh sites with the wheel."""

from __future__ import annotations

import copy
import re
import subprocess

import pytest
from playwright.async_api import expect

from tests.support import declared, processes, quick_start

PEOPLE = """\
import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models


class Manager(BaseUserManager):
    def create_superuser(self, email, password, username):
        person = self.model(email=email, is_staff=True, is_superuser=True)
        person.set_password(password)
        person.save()
        return person


class Person(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    objects = Manager()
    USERNAME_FIELD = "email"
"""
PASSWORD = "cups-and-saucers"
LOOK_AND_MAKE_PEOPLE = f"""
import realtime
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
call_command("check", fail_level="WARNING")
users = get_user_model().objects
for name in ("alice", "bob"):
    users.create_superuser(username=name, email=name + "@example.com", password="{PASSWORD}")
print(realtime.__file__, *settings.INSTALLED_APPS)
"""
SHOW_KEYS = """
print(*[users.get(email=name + "@example.com").pk for name in ("alice", "bob")])
"""
RUNSERVER = ("manage.py", "runserver", "--noreload", "127.0.0.1:{port}")


@pytest.fixture(scope="module")
def chapter():
    return quick_start.QuickStart()


def test_it_takes_at_most_30_lines(chapter):
    assert len(chapter.lines()) <= 30, chapter.lines()
    assert {name.rpartition(".")[2] for name in chapter.files} == {"py", "html", "js"}
    assert chapter.apps == ["realtime", "chat"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return quick_start.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(tmp_path_factory, wheel):
    """The Python of a fresh environment, with the wheel and what it declares."""
    return quick_start.make_environment(tmp_path_factory.mktemp("python") / "venv", wheel)


@pytest.fixture(scope="module")
def plain_site(tmp_path_factory, python, chapter):
    project = quick_start.Project(tmp_path_factory.mktemp("plain") / "site", python)
    project.follow(chapter)
    project.printed = project.manage("shell", "-c", LOOK_AND_MAKE_PEOPLE)
    return project


@pytest.fixture
def serve(tmp_path):
    """`serve(project, *command)`: a server, whose log must be without an error."""
    sites = []

    def _serve(project, *command):
        sites.append(project.serve(tmp_path, *command))
        return sites[-1]

    yield _serve
    for site in sites:
        site.process.kill()
        printed = site.process.log.read_text()
        assert not any(word in printed for word in ("Traceback", "WARNING realtime", "Warning:"))


@pytest.fixture
async def open_chat(open_page):
    """`await open_chat(site, "alice")`: the page of the chat, after signing in at the admin. Its
    console stays silent."""
    printed = []

    def note(message):
        if not message.location["url"].endswith("/favicon.ico"):  # a new site has none
            printed.append(message.text)

    async def _open(site, name):
        page = await open_page(f"{site.url}/admin/login/?next=/chat/")
        page.on("console", note)
        await page.locator("[name=username]").fill(name)
        await page.locator("[name=password]").fill(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("Message")).to_be_visible()
        # What is said before the other one is in the room would be on one page only.
        await page.evaluate("new Promise((done) => realtime.room('lobby').on('joined', done))")
        return page

    yield _open
    assert printed == []


async def talk(alice, bob, names=("alice", "bob")):
    """Each says something, and both pages show both, once."""
    for page, text in (alice, "Hello, Bob"), (bob, "<b>Hello</b>, Alice"):
        await page.get_by_label("Message").fill(text)
        await page.get_by_role("button", name="Send").click()
        await expect(page.get_by_label("Message")).to_have_value("")
    expected = [f"{names[0]}: Hello, Bob", f"{names[1]}: <b>Hello</b>, Alice"]
    for page in (alice, bob):
        lines = page.get_by_role("listitem")
        await expect(lines).to_have_count(2)
        assert sorted(await lines.all_inner_texts()) == sorted(expected)


async def test_two_people_talk_on_a_fresh_site_with_sessions_alone(
    plain_site, python, serve, open_chat
):
    where, *apps = plain_site.printed.splitlines()[-1].split()
    assert where.startswith(str(python.parents[1])), "not from the wheel"
    assert not any("rest_framework" in app for app in apps), "a session needs no token"
    site = serve(plain_site, *RUNSERVER)
    await talk(await open_chat(site, "alice"), await open_chat(site, "bob"))


def test_the_tests_of_the_site_pass(plain_site, tmp_path, wheel):
    """Those of docs/testing.md, with both runners."""
    page = (processes.ROOT / "docs" / "testing.md").read_text()
    snippets = re.findall(r"^```python\n# (\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in snippets] == ["chat/tests.py", "chat/test_lobby.py"]
    for name, text in snippets:
        (plain_site.folder / name).write_text(text)
    plain_site.manage("test", "chat.tests")
    commands = re.findall(r"^\$ python (.*)$", page, re.MULTILINE)
    assert commands == ["manage.py test chat", "-m pytest --ds mysite.settings chat"]
    (wanted,) = re.findall(r"`pip install (.*?)`", page)
    site = copy.copy(plain_site)
    site.python = quick_start.make_environment(tmp_path / "venv", wheel, *wanted.split())
    printed = site.run(*commands[1].split(), "-o", "python_files=tests.py test_*.py")
    assert "5 passed" in printed


async def test_two_people_talk_with_a_user_model_of_the_site(
    tmp_path, python, chapter, serve, open_chat
):
    project = quick_start.Project(tmp_path / "site", python)
    for name, text in {"__init__": "", "migrations/__init__": "", "models": PEOPLE}.items():
        project.append(f"people/{name}.py", text)
    project.add_apps("people")
    project.append("settings.py", 'AUTH_USER_MODEL = "people.Person"\n')
    project.manage("makemigrations", "people")
    project.follow(chapter)
    printed = project.manage("shell", "-c", LOOK_AND_MAKE_PEOPLE + SHOW_KEYS)
    site = serve(project, *RUNSERVER)
    alice = await open_chat(site, "alice@example.com")
    bob = await open_chat(site, "bob@example.com")
    # Their names are their addresses, which others don't see.
    await talk(alice, bob, [f"User {key}" for key in printed.split()[-2:]])


async def test_two_people_talk_over_two_processes_and_redis(
    plain_site, chapter, redis_server, serve, open_chat
):
    setting = chapter.files["settings.py"]
    assert "redis://127.0.0.1:6379" in setting
    plain_site.append("settings.py", setting.replace("redis://127.0.0.1:6379", redis_server))
    # Servers of other tests have read the settings before.
    first, second = serve(plain_site, *RUNSERVER), serve(plain_site, *RUNSERVER)
    alice = await open_chat(first, "alice")
    bob = await open_chat(second, "bob")
    await talk(alice, bob)
    # The shell is a third process.
    plain_site.manage("realtime", "publish", "lobby", '"Closing time"')
    for page in (alice, bob):
        await expect(page.get_by_role("listitem").last).to_have_text("site: Closing time")


def test_extras_are_what_the_tests_have(wheel):
    needed = declared.requirements_of(wheel)
    extras = declared.extras_of(wheel)
    assert "uvicorn" in extras
    for extra in extras:
        of_extra = [
            each
            for each in needed
            if declared.is_asked_for(each, extra) and not declared.is_asked_for(each)
        ]
        assert [declared.installed(each) for each in of_extra], extra


def test_what_is_not_declared_is_not_there(python):
    """Else the tests of this file would not notice a dependency that the wheel forgets."""
    found = "import django, daphne, realtime"
    assert subprocess.run([python, "-c", found], check=False).returncode == 0
    for name in ("pytest", "prometheus_client", "uvicorn"):
        words = [python, "-c", f"import {name}"]
        missing = subprocess.run(words, capture_output=True, check=False)
        assert b"No module named" in missing.stderr, name

"""`manage.py realtime init` on sites of several layouts, and a socket of the first."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import websockets

from tests.support import processes

ROOT = Path(__file__).resolve().parents[2]
LOOK_AGAIN = """
from django.core.management import call_command
call_command("check", fail_level="WARNING")
call_command("realtime", "init")
"""
SIGN_IN = """
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_user("alice"))
print(client.cookies["sessionid"].value)
"""


class Project:
    """A site in a folder of its own."""

    def __init__(self, folder, settings):
        self.folder = folder
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("DJANGO")},
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": settings,
        }

    def manage(self, *args):
        done = subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=90,
        )
        return done.stdout + done.stderr

    def write(self, **files):
        for name, text in files.items():
            path = self.folder / name.replace("__", "/").replace("_py", ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


@pytest.fixture
def fresh(tmp_path):
    """As `django-admin startproject mysite` makes it, with the one line that makes the command."""
    command = [sys.executable, "-m", "django", "startproject", "mysite", "."]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    settings = tmp_path / "mysite" / "settings.py"
    text = settings.read_text()
    settings.write_text(text.replace("INSTALLED_APPS = [", 'INSTALLED_APPS = [\n    "realtime",'))
    return Project(tmp_path, "mysite.settings")


async def test_a_fresh_project_answers_a_socket_after_it(fresh):
    before = {path: path.read_text() for path in fresh.folder.rglob("*.py")}
    shown = fresh.manage("realtime", "init")
    assert '+    "daphne",' in shown and "+ASGI_APPLICATION = " in shown
    assert "Nothing is written." in shown
    assert {path: path.read_text() for path in fresh.folder.rglob("*.py")} == before
    written = fresh.manage("realtime", "init", "--write")
    assert "Written: settings.py, asgi.py, urls.py." in written
    assert "Left alone" not in written
    *printed, key = fresh.manage("shell", "-c", LOOK_AGAIN + SIGN_IN).strip().splitlines()
    assert "This site has what it needs." in printed, printed
    assert any("no issues (0 silenced)" in line for line in printed)

    port = processes.free_port()
    command = [sys.executable, str(fresh.folder / "manage.py"), "runserver", "--noreload"]
    server = processes.start(
        [*command, f"127.0.0.1:{port}"], fresh.folder / "server.log", port, fresh.env
    )
    try:
        async with websockets.connect(
            f"ws://127.0.0.1:{port}/ws/",
            origin=f"http://127.0.0.1:{port}",
            additional_headers={"Cookie": f"sessionid={key}"},
        ) as socket:
            await socket.send('{"id": 1, "connect": {}}')
            assert '"client"' in await socket.recv()
    finally:
        server.stop()


def test_a_layout_of_its_own(tmp_path):
    site = Project(tmp_path, "config.settings.dev")
    site.write(
        manage_py="import sys\nfrom django.core.management import execute_from_command_line\n"
        "execute_from_command_line(sys.argv)\n",
        config__settings__base_py="""SECRET_KEY = "x" * 50
INSTALLED_APPS = ["realtime", "django.contrib.auth", "django.contrib.contenttypes",
                  "django.contrib.sessions"]
MIDDLEWARE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware"  # the last
)
ROOT_URLCONF = "config.web.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
""",
        config__settings__dev_py="from .base import *\n\nDEBUG = True\n",
        config__web__urls_py="from django.urls import (\n    re_path,\n)\n"
        "def page(request): ...\n"
        'urlpatterns = [re_path("", page)]\n',
    )
    for package in ("config", "config/settings", "config/web"):
        (tmp_path / package / "__init__.py").write_text("")
    written = site.manage("realtime", "init", "--write")
    assert "Written: base.py, asgi.py, urls.py." in written
    base = (tmp_path / "config/settings/base.py").read_text()
    assert 'INSTALLED_APPS = ["daphne", "realtime",' in base
    assert 'ASGI_APPLICATION = "config.web.asgi.application"' in base
    assert re.search(r'AuthenticationMiddleware",  # the last\n    "realtime.sign_ins', base)
    assert (tmp_path / "config/settings/dev.py").read_text().count("\n") == 3
    urls = (tmp_path / "config/web/urls.py").read_text()
    assert 'urlpatterns = [path("realtime/"' in urls, "before what takes every path"
    printed = site.manage("shell", "-c", LOOK_AGAIN)
    assert "no issues" in printed and "This site has what it needs." in printed


def test_what_is_not_plain_is_left_alone(fresh):
    settings = fresh.folder / "mysite/settings.py"
    text = settings.read_text().replace("INSTALLED_APPS = [", "APPS = [")
    settings.write_text(
        text + "\nINSTALLED_APPS = APPS + []\nASGI_APPLICATION = 'mysite.asgi.application'\n"
        "CHANNEL_LAYERS = {'default': {'BACKEND': 'channels.layers.InMemoryChannelLayer'}}\n"
    )
    asgi = fresh.folder / "mysite/asgi.py"
    own = asgi.read_text() + "application = lambda *args: None\n"
    asgi.write_text(own)
    written = fresh.manage("realtime", "init", "--write")
    assert asgi.read_text() == own
    assert written.count("Left alone, do it by hand") == 3
    for cure in ('Put "daphne" first', "RedisRoomLayer", "websocket_application"):
        assert cure in written
    assert "daphne" not in settings.read_text()

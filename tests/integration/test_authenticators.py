"""An authenticator of the site's own, over a real server."""

import asyncio
import shutil
import uuid

import pytest

from tests.support import processes
from tests.support.outcomes import outcomes_at


@pytest.fixture(scope="module")
def site(demo_database, tmp_path_factory):
    """Not among the sites whose logs must be clean: here one is to say what broke."""
    folder = tmp_path_factory.mktemp("opaque")
    shutil.copy(demo_database, folder / "db.sqlite3")
    env = {
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "tests.settings.opaque",
    }
    site = processes.start_site("uvicorn", folder, env)
    yield site
    site.process.stop()


@pytest.fixture(scope="module")
def tokens(site):
    """Tokens of alice, of bob, and one of alice that has ended."""
    return site.shell(
        "from django.contrib.auth.models import User\n"
        "from django.contrib.sessions.backends.db import SessionStore\n"
        "for name, seconds in (('alice', 60), ('bob', 60), ('alice', -60)):\n"
        "    session = SessionStore()\n"
        "    session['_auth_user_id'] = str(User.objects.get(username=name).pk)\n"
        "    session.set_expiry(seconds)\n"
        "    session.create()\n"
        "    print(session.session_key)"
    ).split()


@pytest.fixture
def outcomes(site):
    async def _outcomes(*tokens):
        return await outcomes_at(site.ws_url, *tokens)

    return _outcomes


async def test_an_authenticator_says_who_it_is_on_each_way(site, tokens, open_client):
    alice, bob, _ = tokens
    first = await open_client(alice)
    second = await open_client(additional_headers={"Authorization": f"Bearer {bob}"})
    third = await open_client(subprotocols=["realtime.v1", f"bearer.{alice}"])
    for client in (first, second, third):
        await client.call(subscribe={"channel": "lobby"})
    for client, name in ((first, "alice"), (second, "bob"), (third, "alice")):
        await client.call(publish={"channel": "lobby", "data": 1})
        assert (await second.publication())["info"]["conn_info"]["name"] == name


async def test_an_authenticator_refuses_for_good_or_until_there_is_a_new_token(tokens, outcomes):
    alice, _, ended = tokens
    flipped = alice[:-1] + ("a" if alice[-1] != "a" else "b")
    assert await outcomes("unknown", flipped, "a.b.c", "\x00", ended) == [3500] * 4 + [109]


async def test_an_authenticator_that_breaks_is_reported_without_the_token(site, tokens, outcomes):
    secret = f"broken-{uuid.uuid4().hex}"
    before = site.process.log.stat().st_size
    assert await outcomes(*[secret] * 10) == [3004] * 10
    printed = site.process.log.read_bytes()[before:].decode()
    assert printed.count("ERROR") == printed.count("raised RuntimeError") == 1
    assert "opaque_authenticator.py" in printed
    assert secret not in printed
    assert "Traceback" not in printed and " 500 " not in printed
    assert await outcomes(tokens[0]) == ["connected"]


async def test_an_authenticator_that_hangs_holds_up_nobody_who_is_connected(
    tokens, outcomes, open_client
):
    alice, bob = await open_client(tokens[0]), await open_client(tokens[1])
    waiting = [asyncio.create_task(outcomes(f"hang-{number}")) for number in range(10)]
    await bob.call(subscribe={"channel": "lobby"})
    await alice.call(subscribe={"channel": "lobby"})
    await alice.call(publish={"channel": "lobby", "data": "hi"})
    assert (await bob.publication())["data"] == "hi"
    assert not any(task.done() for task in waiting)
    assert await asyncio.gather(*waiting) == [[3004]] * 10

"""The registry: a process writes its connections, and every process can read them."""

import asyncio

import pytest

from realtime.authentication import Identity
from realtime.hub import registry
from realtime.layers import get_layer
from realtime.server_api import connections
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hub_layer(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
    return get_layer()


async def listed(matches, **wanted):
    """The connections as they are listed, as soon as they are as they should be."""
    async with asyncio.timeout(60):
        while not matches(found := connections.connections(**wanted)):
            await asyncio.sleep(0.01)
    return found


@pytest.fixture
async def session(open_session, alice):
    identity = Identity(alice, session_id="s1", expires_at=4_000_000_000.0)
    session = open_session(identity, address="192.0.2.7")
    await call(session, connect={"name": "js", "version": "5.2"})
    return session


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["/venv/bin/daphne", "config.asgi:application"], "daphne"),
        (["/venv/lib/uvicorn/__main__.py", "config.asgi:application"], "uvicorn"),
        (["manage.py", "runserver", "8000"], "runserver"),
        (["/venv/bin/django-admin", "runserver"], "runserver"),
        (["/venv/lib/django/__main__.py", "runserver"], "runserver"),
        (["./site.py", "runserver"], "runserver"),
        (["manage.py", "consume"], "consume"),
        (["manage.py"], "manage"),
        ([""], "python"),
    ],
)
def test_a_process_has_the_name_of_its_server(words, name):
    assert registry._server(*words) == name


async def test_a_connection_is_listed_with_what_is_known_of_it(session, alice, lobby):
    await call(session, subscribe={"channel": "lobby"})
    (found,) = await listed(lambda them: them and them[0].rooms)
    assert found == connections.Connection(
        client=session.id,
        user=str(alice.pk),
        username="alice",
        label="alice",
        since=session.opened_at,
        address="192.0.2.7",
        app="js 5.2",
        protocol="centrifuge",
        sign_in="s1",
        expires_at=4_000_000_000.0,
        rooms=["lobby"],
        unsent_bytes=0,
        process=session.node.registry.process.id,
    )


async def test_they_are_found_by_user_and_room(session, alice, lobby):
    await call(session, subscribe={"channel": "lobby"})
    await listed(lambda them: len(them) == 1, user=alice, room="lobby")
    assert connections.connections(user=alice.pk + 1) == []
    assert connections.connections(room="other") == []


async def test_a_connection_that_ends_is_off_the_list(session, lobby):
    await call(session, subscribe={"channel": "lobby"})
    await listed(lambda them: them and them[0].rooms == ["lobby"])
    await call(session, unsubscribe={"channel": "lobby"})
    await listed(lambda them: them[0].rooms == [])
    session.end()
    await listed(lambda them: not them)


async def test_the_process_is_listed_until_it_ends(session, node):
    await listed(len)
    (alive,) = connections.live_processes()
    assert (alive.process.id, alive.process.pid > 0) == (node.registry.process.id, True)
    await node.close()
    assert connections.live_processes() == []


async def test_lost_entries_are_written_again(session, node, settings):
    settings.REALTIME = {"PROCESS_TTL_SECONDS": 0.1, "CONNECTIONS_PER_USER": 1}
    await listed(len)
    await node.layer.beat(node.registry.process.id, b"", 0)  # as a Redis that was flushed
    await listed(len)


async def test_a_client_may_call_itself_what_it_likes(open_session, alice):
    session = open_session(Identity(alice))
    await call(session, connect={"name": "x" * 10_000, "version": "<script>"})
    (found,) = await listed(len)
    assert found.app == "x" * 64 + " <script>"

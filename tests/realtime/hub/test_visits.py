"""`on_join` and `on_leave` of room types: once for a person, in order, and never in the way."""

import asyncio
import time

import pytest
from django.contrib.auth.models import User

from realtime import rooms
from realtime.authentication import Identity
from realtime.codes import CloseCode
from realtime.concurrency import pools
from realtime.hub import visits
from realtime.hub.node import Node
from realtime.rooms import room_types
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def soon(settings):
    settings.REALTIME = {**settings.REALTIME, "PRESENCE_LEAVE_SECONDS": 0.1}
    visits._failures._of_kind.clear()


@pytest.fixture
def hub_layer(either_layer):
    return either_layer


@pytest.fixture
def seen(monkeypatch):
    """What the hooks were called with, in order."""
    monkeypatch.setattr(room_types, "_types", [])
    seen = []

    @rooms.register("talks/<int:pk>")
    class TalkRoom(rooms.RoomType):
        def can_join(self, user, pk):
            return True

        def on_join(self, user, pk):
            seen.append(("join", user.username, pk))

        async def on_leave(self, user, pk):
            seen.append(("leave", user.username, pk))

    return seen


@pytest.fixture
def enter(open_session):
    async def _enter(user, room="talks/7"):
        session = open_session(Identity(user))
        await call(session, connect={})
        assert "subscribe" in await call(session, subscribe={"channel": room})
        return session

    return _enter


async def until(seen, *expected):
    async with asyncio.timeout(10):
        while seen != list(expected):
            await asyncio.sleep(0.01)


async def test_a_user_comes_once_and_goes_once_however_many_connections(seen, enter, alice):
    first, second = await enter(alice), await enter(alice)
    await until(seen, ("join", "alice", 7))
    first.end()
    await call(second, unsubscribe={"channel": "talks/7"})
    await until(seen, ("join", "alice", 7), ("leave", "alice", 7))


async def test_a_reload_is_neither_a_leave_nor_a_join(seen, enter, alice, settings):
    settings.REALTIME = {**settings.REALTIME, "PRESENCE_LEAVE_SECONDS": 30}
    (await enter(alice)).end()
    again = await enter(alice)
    other = await enter(await User.objects.acreate(username="bob"))
    await until(seen, ("join", "alice", 7), ("join", "bob", 7))
    again.end(), other.end()


async def test_a_lost_connection_is_a_leave(seen, enter, alice):
    session = await enter(alice)
    await until(seen, ("join", "alice", 7))
    session.close(CloseCode.NO_PONG)
    await until(seen, ("join", "alice", 7), ("leave", "alice", 7))


async def test_the_hook_of_another_process_is_not_called_too(seen, enter, alice, hub_layer):
    other = Node(hub_layer)
    await enter(alice)
    await until(seen, ("join", "alice", 7))
    other.presence._members["talks/7"] = {}
    other.presence._sweep("talks/7")
    await other.presence.settle("talks/7")
    assert seen == [("join", "alice", 7)]
    await other.close()


async def test_a_user_who_was_deleted_has_no_hooks(seen, enter, alice):
    session = await enter(alice)
    await until(seen, ("join", "alice", 7))
    await alice.adelete()
    session.end()
    await enter(await User.objects.acreate(username="bob"), "talks/8")
    await until(seen, ("join", "alice", 7), ("join", "bob", 8))


async def test_a_hook_that_raises_is_logged_with_its_name_and_stops_nothing(
    seen, enter, alice, caplog
):
    def broken(user, pk):
        raise RuntimeError("broken")

    room_types._types[0].room_type.on_join = broken
    type(room_types._types[0].room_type).on_join = lambda self, user, pk: broken(user, pk)
    session = await enter(alice)
    async with asyncio.timeout(10):
        while "TalkRoom.on_join raised for the user" not in caplog.text:
            await asyncio.sleep(0.01)
    assert "'talks/7'; it refuses nobody. Repair it, and refuse in can_join." in caplog.text
    session.end()
    await until(seen, ("leave", "alice", 7))


async def test_a_hook_that_hangs_delays_no_other_room_and_no_join(
    seen, enter, alice, settings, caplog
):
    settings.REALTIME = {**settings.REALTIME, "HOOK_SECONDS": 0.3}
    hung = asyncio.Event()

    @rooms.register("hung/<int:pk>")
    class HungRoom(rooms.RoomType):
        def can_join(self, user, pk):
            return True

        def on_join(self, user, pk):
            time.sleep(1)

        async def on_leave(self, user, pk):
            hung.set()

    session = await enter(alice, "hung/1")
    await enter(await User.objects.acreate(username="bob"))
    await until(seen, ("join", "bob", 7))
    assert not hung.is_set()
    session.end()
    async with asyncio.timeout(10):
        await hung.wait()
    assert "HungRoom.on_join" in caplog.text
    pools._lost_threads._of_kind.clear()


async def test_calls_that_nobody_works_off_are_dropped_with_a_line(
    seen, enter, alice, monkeypatch, caplog
):
    monkeypatch.setattr(visits, "WAITING_MAX", 0)
    await enter(alice)
    async with asyncio.timeout(10):
        while "TalkRoom.on_join is not called for the user" not in caplog.text:
            await asyncio.sleep(0.01)
    assert seen == []

"""Presence: users, not tabs, and notifications when they join and leave."""

import asyncio
import threading

import pytest
from django.contrib.auth.models import User

from realtime import apresence, presence
from realtime.authentication import Identity
from realtime.models import Room
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def soon(settings):
    settings.REALTIME = {"PRESENCE_LEAVE_SECONDS": 0.2}


@pytest.fixture
def hub_layer(either_layer, monkeypatch):
    monkeypatch.setattr("realtime.server_api.reading.get_layer", lambda: either_layer)
    return either_layer


@pytest.fixture
def bob():
    return User.objects.create_user("bob", "bob@example.com", "secret", first_name="Bob")


@pytest.fixture
def enter(open_session):
    async def _enter(user, room="lobby", **options):
        session = open_session(Identity(user))
        await call(session, connect={})
        reply = await call(session, subscribe={"channel": room, **options})
        assert "subscribe" in reply
        return session

    return _enter


def events(session):
    """The joins and leaves that this session was notified of."""
    found = []
    for frame in session.transport.frames:
        for event in ("join", "leave"):
            if event in frame.get("push", {}):
                found.append((event, frame["push"][event]["info"]["conn_info"]["name"]))
    return found


async def until_heard(session, *expected):
    async with asyncio.timeout(60):
        while events(session) != list(expected):
            await asyncio.sleep(0.01)


async def test_people_are_heard_coming_and_going(enter, alice, bob, lobby):
    watcher = await enter(alice, join_leave=True)
    await until_heard(watcher, ("join", "alice"))
    deaf = await enter(alice)
    tabs = [await enter(bob), await enter(bob)]
    await until_heard(watcher, ("join", "alice"), ("join", "Bob"))
    tabs[0].end()
    await asyncio.sleep(0.4)  # longer than a leave would take
    assert events(watcher)[-1] == ("join", "Bob")
    tabs[1].end()
    await until_heard(watcher, ("join", "alice"), ("join", "Bob"), ("leave", "Bob"))
    assert events(deaf) == []


async def test_a_reload_is_neither_leaving_nor_coming(enter, alice, bob, lobby):
    watcher = await enter(alice, join_leave=True)
    tab = await enter(bob)
    await until_heard(watcher, ("join", "alice"), ("join", "Bob"))
    tab.end()
    await enter(bob)
    await asyncio.sleep(0.4)  # longer than a leave would take
    assert len(events(watcher)) == 2


async def test_the_commands_count_connections_and_people(enter, alice, bob, lobby):
    session = await enter(alice)
    other = await enter(alice)
    third = await enter(bob)
    stats = (await call(session, presence_stats={"channel": "lobby"}))["presence_stats"]
    assert stats == {"num_clients": 3, "num_users": 2}
    found = (await call(session, presence={"channel": "lobby"}))["presence"]["presence"]
    assert set(found) == {session.id, other.id, third.id}
    assert found[third.id] == {
        "user": str(bob.pk),
        "client": third.id,
        "conn_info": {"name": "Bob"},
    }


async def test_python_sees_people(enter, alice, bob, lobby, node):
    for user in (alice, alice, bob):
        await enter(user)
    await node.presence.settle("lobby")
    people = await apresence("lobby")
    assert {(person.user, person.connections) for person in people} == {
        (str(alice.pk), 2),
        (str(bob.pk), 1),
    }
    assert await asyncio.to_thread(presence, "lobby") == people
    assert "example.com" not in repr(people)


async def test_too_many_to_list_are_counted(enter, alice, bob, lobby, settings):
    settings.REALTIME = {"PRESENCE_MAX_CLIENTS": 1}
    session = await enter(alice)
    await enter(bob)
    error = (await call(session, presence={"channel": "lobby"}))["error"]
    assert error["code"] == 106 and "presence_stats" in error["message"]
    assert "presence_stats" in await call(session, presence_stats={"channel": "lobby"})


async def test_a_room_may_be_without_presence(enter, alice, node):
    await Room.objects.acreate(name="quiet", access=Room.Access.AUTHENTICATED, presence=False)
    watcher = await enter(alice, "quiet", join_leave=True)
    await node.presence.settle("lobby")
    assert await apresence("quiet") == []
    assert (await call(watcher, presence={"channel": "quiet"}))["error"]["code"] == 108


async def test_a_process_that_ends_says_goodbye_for_all(enter, alice, bob, lobby, node, settings):
    settings.REALTIME = {"PRESENCE_LEAVE_SECONDS": 0}
    sessions = [await enter(alice), await enter(bob)]
    await node.presence.settle("lobby")
    for session in sessions:
        session.end()
    await node.close()
    assert await apresence("lobby") == []


async def test_the_shown_info_of_a_user_is_a_setting(enter, alice, lobby, node, settings):
    settings.REALTIME = {"USER_INFO": "tests.realtime.hub.test_presence.initials"}
    await enter(alice)
    await node.presence.settle("lobby")
    [person] = await apresence("lobby")
    assert person.info == {"initials": "A"}


async def test_the_function_for_the_info_may_block(enter, alice, lobby, node, settings):
    settings.REALTIME = {"USER_INFO": "tests.realtime.hub.test_presence.thread"}
    session = await enter(alice)
    await call(session, publish={"channel": "lobby", "data": 1})
    published = await session.transport.until(lambda frame: "pub" in frame.get("push", {}))
    assert published["push"]["pub"]["info"]["conn_info"] == {"thread": "realtime-hooks"}


async def test_info_that_can_not_be_made_costs_the_command(connected, lobby, settings, caplog):
    settings.REALTIME = {"USER_INFO": "tests.realtime.hub.test_presence.broken"}
    reply = await call(connected, subscribe={"channel": "lobby"})
    assert (reply["error"]["code"], reply["error"]["temporary"]) == (100, True)
    assert connected.transport.closed is None


def thread(user):
    return {"thread": threading.current_thread().name}


def broken(user):
    raise KeyError("no profile")


def initials(user):
    return {"initials": user.username[0].upper()}

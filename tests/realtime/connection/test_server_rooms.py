"""Rooms that a user is always in: the connection enters them by itself."""

import pytest
from django.contrib.auth.models import AnonymousUser

from realtime.authentication import Identity
from realtime.connection.server_rooms import server_rooms as names_of
from realtime.models import Room
from realtime.names import personal_room
from realtime.protocols.plain import PlainProtocol
from realtime.protocols.sse import EventStreamProtocol
from realtime.rooms.publications import NOTHING_KEPT, publication_body
from tests.support.sessions import call, is_publication

pytestmark = pytest.mark.django_db(transaction=True)

HERE = "tests.realtime.connection.test_server_rooms"


def two_rooms(user):
    return [f"_user/{user.pk}", "lobby", "lobby"]


async def closed_and_missing(user):
    return ("secret", "absent", "not a name", "lobby")


def broken(user):
    raise LookupError("of the site")


def wrong(user):
    return {"lobby": 1}


def of_nobody(user):
    raise AssertionError("anonymous users have none")


@pytest.fixture
def server_rooms(settings):
    def _server_rooms(function, **others):
        path = function if isinstance(function, str) else f"{HERE}.{function.__name__}"
        settings.REALTIME = {"SERVER_ROOMS": path, **others}

    return _server_rooms


async def test_there_are_none_by_default(open_session, alice):
    assert "subs" not in (await call(open_session(Identity(alice)), connect={}))["connect"]


async def test_the_personal_room_by_the_function_that_names_it(
    open_session, alice, server_rooms, node
):
    server_rooms("realtime.user_room")
    session = open_session(Identity(alice))
    reply = (await call(session, connect={}))["connect"]
    room = personal_room(str(alice.pk))
    assert list(reply["subs"]) == [room]
    assert reply["subs"][room]["recoverable"] and "epoch" in reply["subs"][room]
    await node.layer.append(room, publication_body(b'{"n": 1}', None), NOTHING_KEPT)
    push = (await session.transport.until(is_publication))["push"]
    assert (push["channel"], push["pub"]["data"]) == (room, {"n": 1})


async def test_several_rooms_beside_those_that_the_client_asks_for(
    open_session, alice, lobby, server_rooms
):
    await Room.objects.acreate(name="own", access=Room.Access.AUTHENTICATED)
    server_rooms(two_rooms)
    subs = {"own": {}, "lobby": {"recover": True, "epoch": "", "offset": 0}}
    reply = (await call(open_session(Identity(alice)), connect={"subs": subs}))["connect"]
    assert set(reply["subs"]) == {f"_user/{alice.pk}", "lobby", "own"}
    assert reply["subs"]["lobby"]["recovered"] is True


async def test_rights_decide_as_ever(open_session, alice, lobby, server_rooms):
    await Room.objects.acreate(name="secret")
    server_rooms(closed_and_missing)
    reply = (await call(open_session(Identity(alice)), connect={}))["connect"]
    assert list(reply["subs"]) == ["lobby"]


async def test_no_more_than_a_connection_may_be_in(open_session, alice, lobby, server_rooms):
    await Room.objects.acreate(name="own", access=Room.Access.AUTHENTICATED)
    server_rooms(two_rooms, ROOMS_PER_CONNECTION=2)
    reply = (await call(open_session(Identity(alice)), connect={"subs": {"own": {}}}))["connect"]
    assert set(reply["subs"]) == {f"_user/{alice.pk}", "lobby"}


@pytest.mark.parametrize("function", [broken, wrong])
async def test_a_broken_function_is_reported_and_the_client_comes_back(
    open_session, alice, lobby, server_rooms, settings, function, caplog
):
    server_rooms(function)
    session = open_session(Identity(alice))
    refused = (await call(session, connect={}))["error"]
    assert (refused["code"], refused["temporary"]) == (100, True)
    assert refused["message"].split()[-1] in caplog.text
    caplog.clear()
    settings.REALTIME = {}
    assert "connect" in await call(session, connect={})


async def test_anonymous_users_have_none(open_session, server_rooms):
    server_rooms(of_nobody, ALLOW_ANONYMOUS=True)
    reply = (await call(open_session(Identity(AnonymousUser())), connect={}))["connect"]
    assert "subs" not in reply


@pytest.mark.parametrize("protocol", [PlainProtocol("lobby"), EventStreamProtocol()])
async def test_a_protocol_that_names_its_rooms_in_the_url_has_none(
    open_session, alice, lobby, server_rooms, protocol
):
    server_rooms(of_nobody)
    session = open_session(Identity(alice))
    session.protocol = protocol
    assert await names_of(session) == []


async def test_a_client_may_subscribe_to_such_a_room_itself(
    open_session, alice, lobby, server_rooms, node
):
    server_rooms(two_rooms)
    session = open_session(Identity(alice))
    await call(session, connect={})
    assert "subscribe" in await call(session, subscribe={"channel": "lobby"})
    assert (await call(session, subscribe={"channel": "lobby"}))["error"]["code"] == 105
    assert node.hub.rooms["lobby"].sessions == {session}
    await call(session, publish={"channel": "lobby", "data": 1})
    await session.transport.until(is_publication)
    assert sum(map(is_publication, session.transport.frames)) == 1
    assert "unsubscribe" in await call(session, unsubscribe={"channel": "lobby"})
    assert "lobby" not in session.rooms

"""Connecting: credentials, one of them, and in time; refreshing them."""

import json
import time
from dataclasses import replace

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from rest_framework_simplejwt.tokens import AccessToken

from realtime.authentication import Identity
from realtime.codes import CloseCode
from realtime.connection import batches
from realtime.connection.session import State
from realtime.exceptions import AuthenticationError
from realtime.models import Room
from realtime.protocols.requests import Connect
from realtime.rights import grants
from tests.support.sessions import call, send

pytestmark = pytest.mark.django_db(transaction=True)


async def test_connecting_tells_the_client_its_id_and_the_pings(open_session, alice):
    session = open_session(Identity(alice, expires_at=time.time() + 60))
    reply = (await call(session, connect={}))["connect"]
    assert reply["client"] == session.id
    assert (reply["ping"], reply["pong"], reply["expires"]) == (25, True, True)
    assert 58 <= reply["ttl"] <= 60


async def test_the_time_of_a_token_fits_into_the_number_that_the_protocol_has(open_session, alice):
    session = open_session(
        Identity(alice, expires_at=253_402_300_799.0)
    )  # the end of the year 9999
    assert (await call(session, connect={}))["connect"]["ttl"] == 2**32 - 1


async def test_nothing_is_obeyed_before_connect(open_session, alice):
    session = open_session(Identity(alice))
    assert await call(session, subscribe={"channel": "lobby"}) is None
    assert session.transport.closed[0] == CloseCode.BAD_REQUEST


async def test_connecting_twice_is_a_bad_request(connected):
    assert (await call(connected, connect={}))["error"]["code"] == 107
    assert connected.state is State.CONNECTED


async def test_without_a_credential_connect_is_refused(open_session):
    session = open_session()
    await call(session, connect={})
    assert session.transport.closed[0] == CloseCode.INVALID_TOKEN


async def test_a_client_that_does_not_connect_in_time_is_closed(open_session, settings):
    settings.REALTIME = {"CONNECT_SECONDS": 0.01}
    assert await open_session().transport.until_closed() == CloseCode.STALE


async def test_an_expired_credential_of_the_handshake_can_be_replaced(open_session):
    error = AuthenticationError("too old", expired=True)
    session = open_session(authentication_error=error)
    assert (await call(session, connect={}))["error"]["code"] == 109
    assert session.state is State.CONNECTING


@pytest.mark.parametrize("behind", [{"subscribe": {"channel": "lobby"}}, {"ping": {}}])
async def test_what_is_behind_a_refused_connect_is_left_alone(open_session, behind):
    """SDKs send connect and subscribes in one frame, and a terminal close ends them for good."""
    error = AuthenticationError("too old", expired=True)
    session = open_session(authentication_error=error)
    frame = [{"id": 1, "connect": {}}, {"id": 2, **behind}, {"id": 3, "subscribe": {}}]
    await send(session, "\n".join(map(json.dumps, frame)))
    assert [(it["id"], it["error"]["code"]) for it in session.transport.frames] == [(1, 109)]
    assert session.state is State.CONNECTING and session.transport.closed is None


def of_a_visitor():
    """The error of a session in which nobody is signed in."""
    error = AuthenticationError("the session is not signed in")
    error.ambient = True
    return error


@pytest.mark.parametrize("no_token", [{}, {"token": ""}, {"token": None}])
async def test_a_connect_without_a_token_uses_the_session(open_session, alice, no_token):
    session = open_session(Identity(alice, ambient=True))
    assert (await call(session, connect=no_token))["connect"]["client"] == session.id


@pytest.mark.parametrize("no_token", [{}, {"token": ""}, {"token": None}])
async def test_a_visitor_with_a_session_is_refused_clearly(open_session, no_token):
    session = open_session(authentication_error=of_a_visitor())
    await call(session, connect=no_token)
    assert session.transport.closed == (CloseCode.INVALID_TOKEN, "the session is not signed in")


async def test_a_visitor_with_a_session_is_anonymous_where_visitors_may_be(open_session, settings):
    settings.REALTIME = {"ALLOW_ANONYMOUS": True}
    session = open_session(authentication_error=of_a_visitor())
    assert "connect" in await call(session, connect={})
    assert session.user_id == ""


async def test_a_token_takes_the_place_of_an_old_session(open_session, alice):
    session = open_session(authentication_error=of_a_visitor())
    token = await sync_to_async(lambda: str(AccessToken.for_user(alice)))()
    assert "connect" in await call(session, connect={"token": token})
    assert session.user_id == str(alice.pk)


async def test_what_comes_in_another_frame_is_a_mistake_as_ever(open_session):
    error = AuthenticationError("too old", expired=True)
    session = open_session(authentication_error=error)
    await call(session, connect={})
    await call(session, subscribe={"channel": "lobby"})
    assert session.transport.closed[0] == CloseCode.BAD_REQUEST


async def test_two_credentials_are_ambiguous(open_session, alice):
    session = open_session(Identity(alice))
    await call(session, connect={"token": "x"})
    assert session.transport.closed[0] == CloseCode.INVALID_TOKEN


async def test_anonymous_connections_are_a_setting(open_session, settings):
    settings.REALTIME = {"ALLOW_ANONYMOUS": True}
    await Room.objects.acreate(name="news", access=Room.Access.ANYONE)
    session = open_session()
    assert "connect" in await call(session, connect={})
    assert "subscribe" in await call(session, subscribe={"channel": "news"})
    refused = await call(session, publish={"channel": "news", "data": 1})
    assert refused["error"]["code"] == 103


async def test_a_refresh_keeps_rooms_and_never_changes_the_user(connected, lobby, monkeypatch):
    await call(connected, subscribe={"channel": "lobby"})
    mallory = await User.objects.acreate(username="mallory")
    answers = {
        "newer": replace(connected.identity, expires_at=time.time() + 600),
        "mallory": Identity(mallory),
    }

    async def authenticate(token):
        if token not in answers:
            raise AuthenticationError("too old", expired=True)
        return answers[token]

    monkeypatch.setattr("realtime.authentication.verification.authenticate", authenticate)
    expired = (await call(connected, refresh={"token": "old"}))["error"]
    assert (expired["code"], expired["temporary"]) == (109, True)
    assert (await call(connected, refresh={"token": "newer"}))["refresh"]["ttl"] > 590
    assert "lobby" in connected.rooms
    await call(connected, refresh={"token": "mallory"})
    assert connected.transport.closed[0] == CloseCode.INVALID_TOKEN
    assert connected.identity.user.username == "alice"


# The rooms of a connect


@pytest.mark.parametrize(
    "subs", ["[]", "null", "5", '{"a":5}', '{"a":{"offset":-1}}', f'{{"a":{{"offset":{2**64}}}}}']
)
async def test_malformed_rooms_are_a_bad_request_and_connect_may_be_tried_again(
    open_session, alice, subs
):
    session = open_session(Identity(alice))
    await send(session, f'{{"id":1,"connect":{{"subs":{subs}}}}}')
    assert session.transport.frames[0]["error"]["code"] == 107
    assert "connect" in await call(session, connect={})


async def test_rooms_are_not_read_before_the_client_is_authenticated(open_session, monkeypatch):
    def fail(self, most):
        raise AssertionError("read")

    monkeypatch.setattr(Connect, "first_rooms", fail)
    session = open_session()
    await send(session, '{"id":1,"connect":{"subs":{"lobby":{}}}}')
    assert session.transport.closed[0] == CloseCode.INVALID_TOKEN


async def test_of_more_rooms_than_allowed_the_first_are_entered_and_the_others_never_looked_up(
    open_session, alice, lobby, settings, monkeypatch
):
    """As for rooms that the user may not enter. An error would end an SDK for good."""
    settings.REALTIME = {"ROOMS_PER_CONNECTION": 3}
    asked, prepare = [], grants.prepare

    async def note(caller, names):
        asked.extend(names)
        await prepare(caller, names)

    monkeypatch.setattr(grants, "prepare", note)
    session = open_session(Identity(alice))
    names = ["absent-1", "lobby", "absent-2", *(f"room-{number}" for number in range(10_000))]
    reply = await call(session, connect={"subs": {name: {} for name in names}})
    assert list(reply["connect"]["subs"]) == ["lobby"]
    assert asked == names[:3]


async def test_each_room_of_a_connect_is_a_command(open_session, alice, settings):
    settings.REALTIME = {"COMMANDS_PER_SECOND": 0.001, "COMMANDS_BURST": 20}
    session = open_session(Identity(alice))
    wanted = {"subs": {f"room-{number}": {} for number in range(20)}}
    await Room.objects.abulk_create(
        Room(name=name, access=Room.Access.AUTHENTICATED) for name in wanted["subs"]
    )
    error = (await call(session, connect=wanted))["error"]
    assert (error["code"], error["temporary"]) == (111, True)
    wanted["subs"] = {f"room-{number}": {} for number in range(15)}
    assert "connect" in await call(session, connect=wanted)
    assert len(session.rooms) == 15
    replies = [await call(session, ping={}) for _ in range(3)]
    assert ["ping" in reply for reply in replies] == [True, True, False]


@pytest.fixture
async def three_rooms_with_messages(connected):
    """Each with two messages of 300 bytes."""
    names = ["first", "second", "third"]
    for name in names:
        await Room.objects.acreate(name=name, access=Room.Access.AUTHENTICATED)
        for _ in range(2):
            await call(connected, publish={"channel": name, "data": "x" * 300})
    return names


@pytest.mark.parametrize(
    ("most", "recovered"),
    [(10_000, [True, True, True]), (2_000, [True, True, False]), (100, [False] * 3)],
)
async def test_the_rooms_of_a_connect_share_one_limit_of_what_is_recovered(
    open_session, alice, three_rooms_with_messages, settings, most, recovered
):
    settings.REALTIME = {"RECOVERY_MAX_BYTES": most}
    session = open_session(Identity(alice))
    subs = {name: {"recover": True} for name in three_rooms_with_messages}
    replies = (await call(session, connect={"subs": subs}))["connect"]["subs"]
    assert [replies[name]["recovered"] for name in subs] == recovered
    for reply in replies.values():
        missed = [each["offset"] for each in reply.get("publications", [])]
        assert missed == ([1, 2] if reply["recovered"] else [])
        assert reply["offset"] == (0 if reply["recovered"] else 2)
    assert list(session.rooms) == three_rooms_with_messages


async def test_the_work_for_a_client_that_has_gone_stops(
    open_session, alice, node, monkeypatch, settings
):
    monkeypatch.setattr(batches, "TOGETHER_MAX", 2)
    names = [f"room-{number}" for number in range(10)]
    await Room.objects.abulk_create(
        Room(name=name, access=Room.Access.AUTHENTICATED) for name in names
    )
    session, read, history = open_session(Identity(alice)), [], node.layer.history

    async def leave(room, **options):
        read.append(room)
        session.end()
        return await history(room, **options)

    monkeypatch.setattr(node.layer, "history", leave)
    await send(session, json.dumps({"id": 1, "connect": {"subs": {name: {} for name in names}}}))
    assert set(read) <= set(names[:2])
    assert session.rooms == {} and session.transport.frames == []


async def test_a_visitor_without_credential_is_told_both_ways(open_session):
    session = open_session()
    await call(session, connect={})
    assert session.transport.closed[1] == "nobody is signed in, and no token was sent"

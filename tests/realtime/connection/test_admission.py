"""Connecting: credentials, one of them, and in time; refreshing them."""

import json
import time
from dataclasses import replace

import pytest
from django.contrib.auth.models import User

from realtime.authentication import Identity
from realtime.codes import CloseCode
from realtime.connection.session import State
from realtime.exceptions import AuthenticationError
from realtime.models import Room
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

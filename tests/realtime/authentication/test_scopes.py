"""A token's `scope` limits the rights of its user on every entry point, and never adds any."""

import json
import time
import uuid

import jwt
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.utils import get_md5_hash_password

from realtime.authentication import Identity, verification
from realtime.authentication.tickets import identity_to_ticket, redeem
from realtime.codes import CloseCode
from realtime.layers import get_layer
from realtime.models import Membership, Room
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)

ABSENT = object()
JOIN, TALK = "join", "join publish"
EVERYWHERE = {"lobby": TALK, "a": TALK, "a:b": TALK}


@pytest.fixture(autouse=True)
def open_rooms():
    for name in EVERYWHERE:
        Room.objects.create(name=name, access=Room.Access.AUTHENTICATED)


@pytest.fixture
def superuser():
    return User.objects.create_superuser("root")


def sign(user, scope=ABSENT, **claims):
    payload = {
        "token_type": "access",
        "jti": uuid.uuid4().hex,
        "exp": int(time.time()) + 300,
        "user_id": str(user.pk),
        "hash_password": get_md5_hash_password(user.password),
        **claims,
    }
    if scope is not ABSENT:
        payload["scope"] = scope
    return jwt.encode(payload, api_settings.SIGNING_KEY, algorithm="HS256")


async def allowed(session):
    """The rights of the connection in each room where it has any."""
    found = {}
    for name in EVERYWHERE:
        done = []
        if "subscribe" in await call(session, subscribe={"channel": name}):
            done.append("join")
        if "publish" in await call(session, publish={"channel": name, "data": 1}):
            done.append("publish")
        if done:
            found[name] = " ".join(done)
    return found


SCOPES = [
    (ABSENT, EVERYWHERE),
    (None, EVERYWHERE),
    ("realtime:join realtime:publish", EVERYWHERE),
    (["realtime:join", "realtime:publish"], EVERYWHERE),
    ("realtime:publish\trealtime:join\nrealtime:moderate", EVERYWHERE),
    ("realtime:join", dict.fromkeys(EVERYWHERE, JOIN)),
    ("openid realtime:join email", dict.fromkeys(EVERYWHERE, JOIN)),
    ("realtime:join realtime:publish:lobby", {"lobby": TALK, "a": JOIN, "a:b": JOIN}),
    ("realtime:join:lobby", {"lobby": JOIN}),
    ("realtime:join:lobby realtime:publish", {"lobby": TALK}),
    ("realtime:join:lobby realtime:publish:a", {"lobby": JOIN}),
    (["realtime:join:lobby", "realtime:join:a"], {"lobby": JOIN, "a": JOIN}),
    ("realtime:join:a realtime:publish:a", {"a": TALK}),
    ("realtime:join:a:b realtime:publish:a:b", {"a:b": TALK}),
    ("realtime:publish", {}),
    ("realtime:moderate", {}),
    ("", {}),
    ("  ", {}),
    ([], {}),
    ([""], {}),
    ("openid profile", {}),
    ("realtime", {}),
    ("realtime:", {}),
    ("realtime:join:", {}),
    ("realtime:*", {}),
    ("realtime:join:*", {}),
    ("realtime:join:LOBBY", {}),
    ("Realtime:Join", {}),
    ("realtime:join,realtime:publish", {}),
    (["realtime:join realtime:publish"], {}),
    ("join:lobby", {}),
    ("realtime::lobby", {}),
]


@pytest.mark.parametrize(("scope", "expected"), SCOPES)
async def test_a_scope_allows_only_what_it_names(open_session, alice, scope, expected):
    session = open_session()
    await call(session, connect={"token": sign(alice, scope)})
    assert await allowed(session) == expected


@pytest.mark.parametrize("scope", [5, True, {"realtime:join": True}, [["realtime:join"]], [None]])
async def test_an_invalid_scope_is_refused(open_session, alice, async_client, scope):
    session, token = open_session(), sign(alice, scope)
    await call(session, connect={"token": token})
    assert session.transport.closed[0] == CloseCode.INVALID_TOKEN
    assert (await async_client.get("/realtime/rooms/", **bearer(token))).status_code == 401
    assert (await async_client.post("/realtime/ticket/", **bearer(token))).status_code == 401


async def test_a_scope_gives_no_right_that_the_user_lacks(open_session, alice):
    await Room.objects.aupdate(access=Room.Access.MEMBERS)
    await Membership.objects.acreate(
        room=await Room.objects.aget(name="a"), user=alice, role="reader"
    )
    wide = "realtime:join realtime:publish realtime:moderate realtime:join:lobby"
    session = open_session()
    await call(session, connect={"token": sign(alice, wide)})
    assert await allowed(session) == {"a": JOIN}


async def test_scopes_limit_superusers_too(open_session, superuser):
    session = open_session()
    await call(session, connect={"token": sign(superuser, "realtime:join:lobby")})
    assert await allowed(session) == {"lobby": JOIN}


async def test_scopes_limit_the_rooms_of_the_connect_command(open_session, alice):
    session = open_session()
    subs = {name: {} for name in EVERYWHERE}
    reply = await call(session, connect={"token": sign(alice, "realtime:join:a"), "subs": subs})
    assert list(reply["connect"]["subs"]) == ["a"]


async def test_two_tokens_of_one_user_keep_their_own_scopes(open_session, alice):
    narrow, wide = open_session(), open_session()
    await call(wide, connect={"token": sign(alice)})
    assert await allowed(wide) == EVERYWHERE
    await call(narrow, connect={"token": sign(alice, "realtime:join:a")})
    assert await allowed(narrow) == {"a": JOIN}
    assert "publish" in await call(wide, publish={"channel": "a", "data": 1})


@pytest.mark.parametrize("command", ["history", "presence", "presence_stats"])
async def test_a_room_outside_the_scope_can_not_be_read(open_session, alice, command):
    session = open_session()
    await call(session, connect={"token": sign(alice, "realtime:join:a")})
    assert command in await call(session, **{command: {"channel": "a"}})
    refused = await call(session, **{command: {"channel": "lobby"}})
    assert refused["error"]["code"] == 103


class Test_a_refresh:
    @pytest.fixture
    async def session(self, open_session, alice):
        session = open_session()
        await call(session, connect={"token": sign(alice)})
        await call(session, subscribe={"channel": "lobby"})
        await call(session, subscribe={"channel": "a"})
        return session

    async def test_removes_the_connection_from_rooms_outside_the_new_scope(self, session, alice):
        reply = await call(session, refresh={"token": sign(alice, "realtime:join:lobby")})
        assert "refresh" in reply
        # Publishing is refused at once; the subscription ends in the background.
        for name in ("lobby", "a"):
            refused = await call(session, publish={"channel": name, "data": 1})
            assert refused["error"]["code"] == 103
        push = await session.transport.until(lambda frame: "unsubscribe" in frame.get("push", {}))
        assert (push["push"]["channel"], push["push"]["unsubscribe"]["code"]) == ("a", 2000)
        assert list(session.rooms) == ["lobby"]
        assert (await call(session, subscribe={"channel": "a"}))["error"]["code"] == 103

    async def test_keeps_the_subscriptions_inside_the_new_scope(self, session, alice, open_session):
        await call(session, refresh={"token": sign(alice, "realtime:join:lobby")})
        await session.transport.until(lambda frame: "unsubscribe" in frame.get("push", {}))
        other = open_session(Identity(alice))
        await call(other, connect={})
        await call(other, publish={"channel": "a", "data": "a secret"})
        await call(other, publish={"channel": "lobby", "data": "hello"})
        heard = await session.transport.until(lambda frame: "pub" in frame.get("push", {}))
        assert (heard["push"]["channel"], heard["push"]["pub"]["data"]) == ("lobby", "hello")

    async def test_restores_rights_that_the_new_token_allows_again(self, session, alice):
        await call(session, refresh={"token": sign(alice, "realtime:join:lobby")})
        refused = await call(session, publish={"channel": "lobby", "data": 1})
        assert refused["error"]["code"] == 103
        await session.transport.until(lambda frame: "unsubscribe" in frame.get("push", {}))
        await call(session, refresh={"token": sign(alice)})
        assert "publish" in await call(session, publish={"channel": "lobby", "data": 1})
        assert "subscribe" in await call(session, subscribe={"channel": "a"})

    async def test_with_an_invalid_scope_ends_the_connection(self, session, alice):
        await call(session, refresh={"token": sign(alice, 5)})
        assert session.transport.closed[0] == CloseCode.INVALID_TOKEN


async def test_a_ticket_has_the_scopes_of_its_token(open_session, alice):
    for scope, expected in (("realtime:join:a:b", {"a:b": JOIN}), ("", {}), (ABSENT, EVERYWHERE)):
        identity = await verification.authenticate(sign(alice, scope))
        session = open_session(await redeem(identity_to_ticket(identity)))
        await call(session, connect={})
        assert await allowed(session) == expected


def bearer(token):
    return {"headers": {"Authorization": f"Bearer {token}"}}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (ABSENT, {name: {"join", "publish", "moderate"} for name in EVERYWHERE}),
        ("realtime:join:a realtime:moderate", {"a": {"join", "moderate"}}),
        (
            "realtime:join realtime:moderate:lobby realtime:publish:a:b",
            {"lobby": {"join", "moderate"}, "a": {"join"}, "a:b": {"join", "publish"}},
        ),
        ("realtime:publish realtime:moderate", {}),
        ("", {}),
    ],
)
def test_scopes_limit_the_list_of_rooms(client, superuser, scope, expected):
    listed = client.get("/realtime/rooms/", **bearer(sign(superuser, scope))).json()["rooms"]
    rights = {
        room["name"]: {name for name, may in room["rights"].items() if may} for room in listed
    }
    assert rights == expected


@pytest.mark.parametrize("scope", ["realtime:join:a", ""])
def test_a_ticket_from_the_http_endpoint_has_the_scopes_of_its_token(client, alice, scope):
    response = client.post("/realtime/ticket/", **bearer(sign(alice, scope)))
    kept = async_to_sync(get_layer().redeem_ticket)(response.json()["ticket"])
    assert json.loads(kept)["scopes"] == scope.split()

"""The state machine of one connection, without sockets."""

import asyncio
import json
import threading

import pytest
from django.contrib.auth.models import AnonymousUser, Group

from realtime.authentication import Identity
from realtime.codes import CloseCode, UnsubscribeCode
from realtime.connection.session import State
from realtime.exceptions import LayerUnavailable
from realtime.layers.groups import CONTROL_GROUP
from realtime.models import Membership, Room
from realtime.rights import grants
from tests.support.sessions import call, is_publication, send

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_publication_reaches_every_member_and_the_publisher(
    connected, open_session, alice, lobby
):
    other = open_session(Identity(alice))
    await call(other, connect={})
    for session in (connected, other):
        assert "subscribe" in await call(session, subscribe={"channel": "lobby"})
    assert "publish" in await call(connected, publish={"channel": "lobby", "data": {"n": 1}})
    for session in (connected, other):
        pub = (await session.transport.until(is_publication))["push"]["pub"]
        assert (pub["data"], pub["offset"]) == ({"n": 1}, 1)
        assert pub["info"]["user"] == str(alice.pk)
        assert pub["info"]["client"] == connected.id
        assert pub["info"]["conn_info"] == {"name": "alice"}


async def test_an_identity_in_a_payload_has_no_effect(connected, lobby):
    await call(connected, subscribe={"channel": "lobby"})
    forged = {"user": "1", "sender": "admin", "type": "realtime.publication"}
    await call(connected, publish={"channel": "lobby", "data": forged, "info": {"user": "0"}})
    pub = (await connected.transport.until(is_publication))["push"]["pub"]
    assert pub["data"] == forged
    assert pub["info"]["user"] == connected.identity.user_id


async def test_a_closed_room_and_a_room_that_is_not_there_answer_alike(connected):
    await Room.objects.acreate(name="secret")
    await Room.objects.acreate(name="old", access=Room.Access.AUTHENTICATED, archived=True)
    answers = [
        await call(connected, **{command: {"channel": name, **extra}})
        for command, extra in (("subscribe", {}), ("publish", {"data": 1}))
        for name in ("secret", "absent", "old", "..", "a\n", "x" * 300, "LOBBY", "a b")
    ]
    assert {json.dumps(answer["error"]) for answer in answers} == {
        '{"code": 103, "message": "permission denied"}'
    }


async def test_reading_is_not_publishing(connected, alice):
    room = await Room.objects.acreate(name="news")
    await Membership.objects.acreate(room=room, user=alice, role=Membership.Role.READER)
    assert "subscribe" in await call(connected, subscribe={"channel": "news"})
    refused = await call(connected, publish={"channel": "news", "data": 1})
    assert refused["error"]["code"] == 103


async def test_publishing_needs_no_subscription(connected, lobby):
    assert "publish" in await call(connected, publish={"channel": "lobby", "data": 1})


async def test_scopes_narrow(open_session, alice, lobby):
    session = open_session(Identity(alice, scopes=frozenset({"realtime:join:lobby"})))
    await call(session, connect={})
    assert "subscribe" in await call(session, subscribe={"channel": "lobby"})
    refused = await call(session, publish={"channel": "lobby", "data": 1})
    assert refused["error"]["code"] == 103


async def test_subscribing_twice_is_told(connected, lobby):
    await call(connected, subscribe={"channel": "lobby"})
    assert (await call(connected, subscribe={"channel": "lobby"}))["error"]["code"] == 105


async def test_one_room_too_many_is_refused(connected, lobby, settings):
    settings.REALTIME = {"ROOMS_PER_CONNECTION": 1}
    await Room.objects.acreate(name="second", access=Room.Access.AUTHENTICATED)
    await call(connected, subscribe={"channel": "lobby"})
    assert (await call(connected, subscribe={"channel": "second"}))["error"]["code"] == 106


async def test_after_unsubscribe_nothing_of_the_room_comes(connected, lobby, node):
    await call(connected, subscribe={"channel": "lobby"})
    assert (await call(connected, unsubscribe={"channel": "lobby"}))["unsubscribe"] == {}
    assert connected not in node.hub.rooms["lobby"].sessions
    assert (await call(connected, unsubscribe={"channel": "lobby"}))["unsubscribe"] == {}


async def test_the_server_can_end_a_subscription(connected, lobby):
    await call(connected, subscribe={"channel": "lobby"})
    connected.unsubscribe("lobby", UnsubscribeCode.BY_SERVER, "closed for today")
    push = connected.transport.frames[-1]["push"]
    assert push == {
        "channel": "lobby",
        "unsubscribe": {"code": 2000, "reason": "closed for today"},
    }
    connected.unsubscribe("lobby", UnsubscribeCode.BY_SERVER, "again")
    assert connected.transport.frames[-1]["push"] == push


@pytest.mark.parametrize("payload", ["1e999", '"\\ud800"', '"\\udc00"', "-1e999"])
async def test_payloads_that_some_clients_can_not_read_are_refused(connected, lobby, payload):
    await call(connected, subscribe={"channel": "lobby"})
    await send(connected, f'{{"id":900,"publish":{{"channel":"lobby","data":{payload}}}}}')
    if connected.state is State.CONNECTED:
        assert connected.transport.frames[-1]["error"]["code"] == 107
    assert not any(map(is_publication, connected.transport.frames))


@pytest.mark.parametrize("text", ["😀", "\u202e", "\u0000", "<script>", "{{7*7}}", "\u2028"])
async def test_odd_text_is_delivered_as_it_came(connected, lobby, text):
    await call(connected, subscribe={"channel": "lobby"})
    await call(connected, publish={"channel": "lobby", "data": text})
    assert (await connected.transport.until(is_publication))["push"]["pub"]["data"] == text


async def test_the_size_of_a_message_is_limited_to_the_byte(connected, lobby):
    fits, too_large = "x" * (65_536 - 2), "x" * (65_536 - 1)
    assert "publish" in await call(connected, publish={"channel": "lobby", "data": fits})
    refused = await call(connected, publish={"channel": "lobby", "data": too_large})
    assert refused["error"]["code"] == 106


async def test_data_may_be_null_but_not_missing(connected, lobby):
    assert "publish" in await call(connected, publish={"channel": "lobby", "data": None})
    refused = await call(connected, publish={"channel": "lobby"})
    assert refused["error"]["code"] == 107


async def test_ten_errors_in_a_row_close(connected, lobby):
    for _ in range(9):
        await call(connected, jump={})
    await call(connected, ping={})
    for _ in range(10):
        assert connected.transport.closed is None
        await call(connected, jump={})
    assert connected.transport.closed[0] == CloseCode.TOO_MANY_ERRORS


async def test_when_the_layer_is_away_the_error_is_temporary(connected, lobby, monkeypatch):
    async def away(*args, **options):
        raise LayerUnavailable("away")

    def away_soon(room, body, keep, on_kept):
        on_kept(LayerUnavailable("away"))

    await Room.objects.acreate(name="elsewhere", access=Room.Access.AUTHENTICATED)
    await call(connected, subscribe={"channel": "lobby"})
    monkeypatch.setattr(connected.node.layer, "append_soon", away_soon)
    monkeypatch.setattr(connected.node.layer, "append", away)
    monkeypatch.setattr(connected.node.layer, "history", away)
    for command in (
        {"publish": {"channel": "lobby", "data": 1}},
        {"publish": {"channel": "elsewhere", "data": 1}},
        {"subscribe": {"channel": "elsewhere"}},
    ):
        error = (await call(connected, **command))["error"]
        assert (error["code"], error["temporary"]) == (100, True)
    assert connected.state is State.CONNECTED


async def test_when_the_database_is_away_nothing_is_allowed_and_the_connection_lives(
    connected, lobby, monkeypatch
):
    from django.db import OperationalError

    def away(*args):
        raise OperationalError("no database")

    monkeypatch.setattr(grants, "read", away)
    error = (await call(connected, subscribe={"channel": "lobby"}))["error"]
    assert (error["code"], error["temporary"]) == (100, True)
    assert connected.state is State.CONNECTED


async def test_a_look_up_that_hangs_is_temporary(connected, lobby, monkeypatch, settings, caplog):
    settings.REALTIME = {"RIGHTS_SECONDS": 0.05}
    may_end = threading.Event()
    monkeypatch.setattr(grants, "read", lambda *args: may_end.wait(30))
    error = (await call(connected, subscribe={"channel": "lobby"}))["error"]
    may_end.set()
    assert (error["code"], error["temporary"]) == (100, True)
    assert connected.state is State.CONNECTED


async def test_a_group_makes_a_member(connected, alice):
    group = await Group.objects.acreate(name="Staff")
    room = await Room.objects.acreate(name="staff")
    await room.groups.aadd(group)
    assert (await call(connected, subscribe={"channel": "staff"}))["error"]["code"] == 103
    await alice.groups.aadd(group)
    assert "subscribe" in await call(connected, subscribe={"channel": "staff"})


async def test_closing_leaves_nothing_behind(connected, lobby, node):
    await call(connected, subscribe={"channel": "lobby"})
    connected.close(CloseCode.FORCED)
    connected.close(CloseCode.NORMAL)
    assert connected.transport.closed == (CloseCode.FORCED, "disconnected by the server")
    await asyncio.gather(*node.hub._leaving)
    assert node.hub.rooms == {} and set(node.layer._groups) <= {CONTROL_GROUP}
    assert node.reviewer.sessions_of(connected.user_id) == []


async def test_half_an_emoji_costs_its_own_command_and_nothing_else(connected, lobby):
    await call(connected, subscribe={"channel": "lobby"})
    commands = [r'{"publish":{"channel":"lobby","data":"\ud83d"},"id":501}']
    commands += [r'{"send":{"data":"\ud83d"}}', '{"rpc":{"method":"a","data":NaN},"id":502}']
    await send(connected, "\n".join(commands))
    assert (await call(connected, publish={"channel": "lobby", "data": "\U0001f600"}))[
        "publish"
    ] == {}
    published = await connected.transport.until(is_publication)
    assert published["push"]["pub"]["data"] == "\U0001f600"
    refused = [
        (it["id"], it["error"]["code"]) for it in connected.transport.frames if "error" in it
    ]
    assert refused == [(501, 107), (502, 107)]
    assert connected.transport.closed is None


def test_an_anonymous_identity_has_no_user_id():
    assert Identity(AnonymousUser()).user_id == ""

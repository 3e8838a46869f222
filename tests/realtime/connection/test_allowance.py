"""The allowance of a user is asked before a command is read."""

import asyncio
import json

import pytest

from realtime.authentication import Identity
from realtime.codes import CloseCode
from realtime.models import Room
from realtime.protocols import centrifuge
from tests.support.sessions import call, dispatcher_of, send

pytestmark = pytest.mark.django_db(transaction=True)

BURST = 20
UNKNOWN = '{"id":1,"unknown":{}}'


@pytest.fixture(autouse=True)
def little_is_allowed(settings):
    settings.REALTIME = {"COMMANDS_PER_SECOND": 0.001, "COMMANDS_BURST": BURST}


@pytest.fixture
def read(monkeypatch):
    """The lines that were parsed."""
    lines, decode = [], centrifuge._decode_line

    def note(line):
        lines.append(line)
        return decode(line)

    monkeypatch.setattr(centrifuge, "_decode_line", note)
    return lines


@pytest.fixture
async def stranger(open_session):
    """A session that nobody has authenticated."""
    return open_session()


def errors(session):
    return [frame["error"]["code"] for frame in session.transport.frames if "error" in frame]


def unsolicited(session):
    session.transport.acknowledge = lambda: False


@pytest.mark.parametrize("line", ["{}", UNKNOWN, "", "x"])
async def test_a_frame_of_many_commands_is_refused_unread(connected, stranger, read, line):
    for session in (connected, stranger):
        read.clear()
        await send(session, "\n".join([line] * 10_000))
        assert session.transport.closed[0] == CloseCode.BAD_REQUEST
        assert read == []


async def test_commands_beyond_the_allowance_are_not_read(connected, read):
    ids = range(1, 401)
    await send(connected, "\n".join(json.dumps({"id": id, "ping": {}}) for id in ids))
    assert len(read) == BURST - 1  # and the connect
    assert set(errors(connected)) == {111}
    assert connected.transport.closed[0] == CloseCode.TOO_MANY_REQUESTS
    refused = [frame["id"] for frame in connected.transport.frames if "error" in frame]
    assert refused[: BURST - 1] == list(range(BURST, 2 * BURST - 1))
    assert len(refused) <= BURST


async def test_a_pong_that_answers_a_ping_is_free(connected):
    for _ in range(10):
        await send(connected, "\n".join(["{}"] * 400))
    assert connected.transport.closed is None
    assert "ping" in await call(connected, ping={})


async def test_pongs_that_answer_nothing_are_commands(connected, read):
    unsolicited(connected)
    await send(connected, "\n".join(["{}"] * (BURST - 1)))
    assert connected.transport.closed is None
    await send(connected, '{"id":9,"ping":{}}')
    assert errors(connected) == [111]
    await send(connected, "\n".join(["{}"] * 400))
    assert connected.transport.closed[0] == CloseCode.TOO_MANY_REQUESTS
    assert read == []


async def test_pongs_that_answer_nothing_forgive_no_mistake(connected):
    unsolicited(connected)
    await send(connected, "\n".join([UNKNOWN, "{}"] * 9 + [UNKNOWN]))
    assert connected.transport.closed[0] == CloseCode.TOO_MANY_ERRORS


@pytest.mark.parametrize("first", [UNKNOWN, '{"id":1,"connect":{"token":7}}'])
async def test_what_is_behind_the_first_command_of_a_stranger_is_not_read(stranger, read, first):
    await send(stranger, "\n".join([first] + [UNKNOWN] * 400))
    assert read == [first]


async def test_a_stranger_has_few_tries(stranger, read):
    for _ in range(15):
        await send(stranger, UNKNOWN)
    assert len(read) == 10
    assert errors(stranger)[:10] == [107] * 10


async def test_subscribes_behind_a_connect_are_those_of_its_user(open_session, alice, lobby, read):
    session = open_session(Identity(alice))
    await send(
        session,
        '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"lobby"}}\n{"id":3,"ping":{}}',
    )
    assert [frame["id"] for frame in session.transport.frames] == [1, 2, 3]


async def test_what_is_before_a_broken_command_is_carried_out(connected, lobby):
    """As Centrifugo does: a frame is no transaction, and what is behind is not read in advance."""
    await call(connected, subscribe={"channel": "lobby"})
    await send(
        connected, '{"id":91,"unsubscribe":{"channel":"lobby"}}\n{"id":\n{"id":93,"ping":{}}'
    )
    answered = [frame["id"] for frame in connected.transport.frames if "id" in frame]
    assert answered[-1] == 91
    assert connected.rooms == {}
    assert connected.transport.closed[0] == CloseCode.BAD_REQUEST


async def test_the_subscribes_of_an_sdk_that_comes_back_are_one_frame(connected, settings):
    settings.REALTIME = {"ROOMS_PER_CONNECTION": 1_000, "COMMANDS_PER_SECOND": 0}
    names = [f"room-{number}" for number in range(1_000)]
    await Room.objects.abulk_create(
        Room(name=name, access=Room.Access.AUTHENTICATED) for name in names
    )
    lines = [json.dumps({"id": 9, "subscribe": {"channel": name}}) for name in names]
    async with asyncio.timeout(60):
        await send(connected, "\n".join(lines))
    assert list(connected.rooms) == names


@pytest.mark.parametrize(("character", "size"), [("x", 1), ("\u00e9", 2), ("\U0001f600", 4)])
async def test_the_size_of_a_frame_is_in_bytes(connected, settings, character, size):
    settings.REALTIME = {"FRAME_MAX_BYTES": 4_000}
    body = '{"id":9,"ping":{"a":"%s"}}'
    room = 4_000 - len(body % "")
    dispatcher = dispatcher_of(connected)
    fitting = dispatcher.receive(body % (character * (room // size)))
    await fitting
    assert connected.transport.closed is None
    assert dispatcher.receive(body % (character * (room // size + 1))) is None
    assert connected.transport.closed[0] == CloseCode.BAD_REQUEST


# Bytes


@pytest.fixture
async def few_bytes(settings, connected, lobby):
    await call(connected, subscribe={"channel": "lobby"})
    settings.REALTIME = {"BYTES_PER_SECOND": 0.001, "BYTES_BURST": 10_000}


def published(session):
    return [frame for frame in session.transport.frames if "push" in frame]


@pytest.mark.parametrize("character", ["x", "\u20ac"])
async def test_bytes_beyond_the_allowance_are_refused_unread(connected, few_bytes, read, character):
    payload = character * (1_000 // len(character.encode()))
    body = {"publish": {"channel": "lobby", "data": payload}}
    lines = [json.dumps({"id": 100 + n, **body}, ensure_ascii=False) for n in range(20)]
    await send(connected, "\n".join(lines))
    await connected.transport.until(lambda frame: frame.get("id") == 119)
    await connected.transport.until(lambda frame: frame.get("id") == 108)
    assert errors(connected) == [111] * 11
    assert len(read) == 9
    assert connected.transport.closed is None


async def test_small_commands_are_limited_by_their_number_alone(connected, few_bytes):
    for _ in range(15):
        assert "publish" in await call(connected, publish={"channel": "lobby", "data": "x" * 150})


async def test_all_connections_of_a_user_share_its_bytes(connected, few_bytes, open_session, alice):
    other = open_session(Identity(alice))
    await call(other, connect={})
    assert "rpc" not in await call(other, rpc={"method": "a", "data": "x" * 9_900})
    reply = await call(connected, publish={"channel": "lobby", "data": "x" * 1_000})
    assert reply["error"]["code"] == 111


async def test_a_stranger_has_bytes_of_its_own(stranger, open_session, settings, read):
    settings.REALTIME = {"BYTES_PER_SECOND": 0.001, "BYTES_BURST": 10_000}
    large = json.dumps({"id": 1, "connect": {"name": "x" * 100_000}, "ping": {}})
    for session in (stranger, open_session()):
        await send(session, large)
        await send(session, large)
        assert errors(session) == [107, 111]
    assert len(read) == 2


# What costs more than one command


async def commands_left(session):
    """How many more commands are allowed."""
    count = 0
    while "ping" in await call(session, ping={}):
        count += 1
    return count


@pytest.fixture
def much_is_allowed(settings):
    settings.REALTIME = {"COMMANDS_PER_SECOND": 0.001, "COMMANDS_BURST": 100}


async def test_a_right_that_is_looked_up_in_vain_costs_twenty(
    much_is_allowed, connected, lobby, open_session, alice
):
    for command in ("subscribe", "history", "presence", "publish"):
        reply = await call(connected, **{command: {"channel": f"absent-{command}", "data": 1}})
        assert reply["error"]["code"] == 103
    assert await commands_left(connected) == 100 - 4 * 20 - 1


async def test_a_refusal_that_needs_no_look_up_costs_one(much_is_allowed, connected, alice):
    await Room.objects.acreate(
        name="quiet", access=Room.Access.AUTHENTICATED, publishing=Room.Publishing.NOBODY
    )
    await call(connected, subscribe={"channel": "quiet"})
    for _ in range(10):
        reply = await call(connected, publish={"channel": "quiet", "data": 1})
        assert reply["error"]["code"] == 103
    assert await commands_left(connected) == 100 - 12


async def test_refusals_close_no_connection_by_themselves(
    much_is_allowed, open_session, alice, lobby
):
    session = open_session(Identity(alice))
    subs = {"lobby": {}, **{f"absent-{number}": {} for number in range(60)}}
    reply = await call(session, connect={"subs": subs})
    assert list(reply["connect"]["subs"]) == ["lobby"]
    assert (await call(session, ping={}))["error"]["code"] == 111
    assert session.transport.closed is None


async def test_a_large_reply_costs_by_its_size(much_is_allowed, connected, lobby, node):
    for _ in range(8):
        await call(connected, publish={"channel": "lobby", "data": "x" * 10_000})
    reply = await call(connected, history={"channel": "lobby", "limit": 8})
    assert len(reply["history"]["publications"]) == 8
    assert await commands_left(connected) == 100 - 10 - 80_000 // 8_192

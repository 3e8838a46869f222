"""Sessions of Socket.IO's clients, without sockets.

Long, because recovery has many ways to go wrong.
"""

import asyncio
import json
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from realtime import apublish
from realtime.authentication import Identity
from realtime.codes import CloseCode
from realtime.connection.socketio import SocketIOSession
from realtime.exceptions import AuthenticationError, LayerUnavailable
from realtime.hub.hub import Entering
from realtime.hub.node import Node
from realtime.layers import get_layer
from realtime.middleware import JWTAuthMiddleware
from realtime.models import Membership, Room
from realtime.protocols.socketio import SocketIOProtocol
from realtime.protocols.socketio_positions import Journal
from tests.support.sessions import RecordingTransport, send

pytestmark = pytest.mark.django_db(transaction=True)


class Wire(RecordingTransport):
    """Keeps the messages as they are."""

    def write(self, frame):
        if frame:
            self.frames += frame if isinstance(frame, tuple) else (frame,)
            self.changed.set()

    write_along = write

    def may_ping(self, session):
        return True

    def events(self, name):
        events = [json.loads(frame[2:]) for frame in self.frames if frame.startswith("42[")]
        return [event[1:] for event in events if event[0] == name]

    def heard(self):
        """The arguments of the messages of all rooms, and their positions."""
        return [(args[0], args[-1]) for args in self.events("chat message")]

    @property
    def reply(self):
        [reply] = [frame for frame in self.frames if frame.startswith("40")]
        return json.loads(reply[2:])


@pytest.fixture(autouse=True)
def mapped(settings):
    events = {"chat message": "lobby"}
    settings.REALTIME = {**settings.REALTIME, "SOCKETIO_EVENTS": events}


@pytest.fixture
def hub_layer():
    return get_layer()


@pytest.fixture
def journals():
    """That of each process."""
    return {}


@pytest.fixture
async def open_socket(node, journals):
    opened = []

    def _open(identity=None, on=node, **options):
        protocol = SocketIOProtocol(journals.setdefault(on, Journal()))
        session = SocketIOSession(
            transport=Wire(), protocol=protocol, node=on, identity=identity, **options
        )
        session.open()
        on.sessions.add(session)
        opened.append(session)
        return session

    yield _open
    for session in opened:
        session.end()
        session.node.sessions.discard(session)


@pytest.fixture
async def other_node(hub_layer):
    node = Node(hub_layer)
    yield node
    await node.close()


@pytest.fixture
def connect(open_socket, alice, node):
    """`await connect(pid=…, offset=…)`: a connection of alice."""

    async def _connect(user=alice, on=node, **auth):
        session = open_socket(Identity(user), on=on)
        await send(session, f"40{json.dumps(auth)}")
        return session

    return _connect


@pytest.fixture
def rooms(lobby, alice):
    """Two more, with history. Their messages are the same event."""
    return [Room.objects.create(name=f"room{n}", access="authenticated") for n in (1, 2)]


async def say(number, room="lobby"):
    await apublish(room, {"event": "chat message", "args": [number]})


async def until_heard(session, *numbers):
    """Wait until a session has heard at least these."""
    async with asyncio.timeout(60):
        while not set(numbers) <= {number for number, _ in session.transport.heard()}:
            session.transport.changed.clear()
            await session.transport.changed.wait()


async def lose(session):
    """The connection is gone."""
    session.end()
    session.node.sessions.discard(session)
    while session.node._finishing:
        await asyncio.sleep(0)


def numbers(session):
    return [number for number, _ in session.transport.heard()]


async def test_it_is_in_the_rooms_of_its_events(connect, lobby):
    session = await connect()
    assert set(session.rooms) == {"lobby"}
    assert [about["room"] for [about] in session.transport.events("joined")] == ["lobby"]
    await send(session, '420["chat message","hello"]')
    await until_heard(session, "hello")
    assert "430[{}]" in session.transport.frames


async def test_it_is_not_in_rooms_that_it_may_not_enter(connect):
    await Room.objects.acreate(name="lobby")
    session = await connect()
    assert session.transport.reply["sid"] == session.id and not session.rooms
    await send(session, '420["chat message","hello"]')
    assert json.loads(session.transport.frames[-1][3:])[0]["error"]["code"] == 103


async def test_a_refused_credential_is_an_error_of_the_connect(open_socket):
    session = open_socket(authentication_error=AuthenticationError("the token is too old"))
    await send(session, "40")
    assert session.transport.frames == [
        '44{"message":"the token is too old","data":{"code":3500}}',
    ]
    assert session.transport.closed[0] == CloseCode.INVALID_TOKEN


async def test_an_expired_token_may_be_replaced_on_the_same_connection(open_socket, alice):
    error = AuthenticationError("expired", expired=True)
    session = open_socket(authentication_error=error)
    await send(session, "40")
    assert session.transport.frames == ['44{"message":"token expired","data":{"code":109}}']
    assert session.transport.closed is None


@pytest.mark.parametrize(
    "message", ["", "9", b"x", "42", '42["x"', '451-["x"]', "40", "42/other,[]", "47"]
)
async def test_what_socketio_closes_for_closes(connect, message):
    session = await connect()
    await send(session, message)
    if message == '451-["x"]':
        assert session.transport.closed is None
        await send(session, '42["x"]')
    assert session.transport.closed[0] == CloseCode.BAD_REQUEST
    assert session.transport.frames[-1] == "41"


async def test_a_thousand_namespaces_are_refused_one_by_one(connect):
    session = await connect()
    for number in range(1_000):
        await send(session, f"40/{number},")
    assert sum(frame.startswith("44/") for frame in session.transport.frames) == 1_000
    assert session.transport.closed is None
    assert session.protocol.namespace == "/"


async def test_the_attachments_of_a_packet_over_the_limit_are_not_read(connect, lobby, settings):
    settings.REALTIME = {**settings.REALTIME, "COMMANDS_PER_SECOND": 1, "COMMANDS_BURST": 3}
    session = await connect()
    await send(session, '451-0["publish","lobby",{"_placeholder":true,"num":0}]')
    await send(session, b"x")
    assert session.transport.closed is None
    assert '"code":111' in session.transport.frames[-1]


async def test_a_room_that_can_not_be_entered_now_is_entered_later(connect, lobby, monkeypatch):
    async def not_now(self):
        raise LayerUnavailable("not now")

    with monkeypatch.context() as patch:
        patch.setattr(Entering, "__aenter__", not_now)
        session = await connect()
        assert session.transport.reply["sid"] == session.id and not session.rooms
    async with asyncio.timeout(60):
        while not session.transport.events("joined"):
            session.transport.changed.clear()
            await session.transport.changed.wait()
    await say(1)
    await until_heard(session, 1)
    assert set(session.protocol.joined) == {"lobby"}


async def test_the_server_may_go_while_it_connects(connect, lobby, monkeypatch):
    async def not_now(self, ticket):
        raise LayerUnavailable("not now")

    monkeypatch.setattr(type(get_layer()), "redeem_ticket", not_now)
    session = await connect(pid=f"{uuid.uuid4()}.{16 * 'x'}")
    # A close without a packet: the client library comes back by itself.
    assert session.transport.closed[0] == CloseCode.INTERNAL
    assert session.transport.frames == [] and not session.rooms


class Test_recovery:
    async def test_a_client_that_comes_back_gets_what_it_missed(self, connect, rooms, other_node):
        session = await connect()
        for room in rooms:
            await send(session, f'420["join","{room.name}"]')
        for number, room in enumerate(["lobby", "room1", "room2", "room1"]):
            await say(number, room)
        await until_heard(session, 0, 1, 2, 3)
        pid, (_, offset) = session.transport.reply["pid"], session.transport.heard()[-1]
        await lose(session)
        for number, room in enumerate(["room2", "lobby", "room1"], start=4):
            await say(number, room)
        back = await connect(on=other_node, pid=pid, offset=offset)
        assert back.transport.reply["pid"] == pid
        assert set(back.rooms) == {"lobby", "room1", "room2"}
        assert sorted(numbers(back)) == [4, 5, 6]
        await say(7, "room2")
        await until_heard(back, 7)
        assert len(numbers(back)) == 4

    async def test_the_last_position_is_enough_wherever_it_was_interrupted(self, connect, rooms):
        session = await connect()
        for room in rooms:
            await send(session, f'420["join","{room.name}"]')
        for number in range(9):
            await say(number, ["lobby", "room1", "room2"][number % 3])
        await until_heard(session, *range(9))
        pid, heard = session.transport.reply["pid"], session.transport.heard()
        kept = None
        for received in range(10):
            await (lose(session) if session else asyncio.sleep(0))
            session = None
            kept = kept or await _peek(pid)
            get_layer().store_ticket(f"socketio/{pid}", kept, 60)
            auth = {"offset": heard[received - 1][1]} if received else {}
            back = await connect(pid=pid, **auth)
            assert back.transport.reply["pid"] == pid
            assert sorted(numbers(back)) == sorted(number for number, _ in heard[received:])
            await lose(back)
            await _peek(pid)

    async def test_interrupted_while_it_gets_what_it_missed(self, connect, rooms):
        session = await connect()
        await send(session, '420["join","room1"]')
        await lose(session)
        for number in range(6):
            await say(number, ["lobby", "room1"][number % 2])
        pid = session.transport.reply["pid"]
        back = await connect(pid=pid)
        heard = back.transport.heard()
        assert sorted(numbers(back)) == list(range(6))
        await lose(back)
        again = await connect(pid=pid, offset=heard[3][1])
        assert sorted(numbers(again)) == sorted(number for number, _ in heard[4:])

    async def test_a_text_of_an_earlier_connection_is_none(self, connect, lobby, other_node):
        first = await connect()
        await say(1)
        await until_heard(first, 1)
        [(_, offset)] = first.transport.heard()
        await lose(first)
        second = await connect(on=other_node)
        pid = second.transport.reply["pid"]
        await say(2)
        await until_heard(second, 2)
        await lose(second)
        # It has not received the second message.
        back = await connect(pid=pid, offset=offset)
        assert numbers(back) == [2]

    @pytest.mark.parametrize("offset", ["x", "", 60 * "1", "0.0.0.0.lobby"])
    async def test_another_text_recovers_nothing(self, connect, lobby, offset):
        session = await connect()
        pid = session.transport.reply["pid"]
        await lose(session)
        await say(1)
        back = await connect(pid=pid, offset=offset)
        assert back.transport.reply["pid"] != pid
        assert numbers(back) == [] and set(back.rooms) == {"lobby"}

    async def test_an_unknown_session_starts_again(self, connect, lobby):
        for pid in ("x", f"{uuid.uuid4()}.{16 * 'x'}", 5_000 * "x"):
            session = await connect(pid=pid)
            assert session.transport.reply["pid"] != pid
            assert set(session.rooms) == {"lobby"}

    async def test_only_its_user_may_take_it_up(self, connect, lobby):
        session = await connect()
        pid = session.transport.reply["pid"]
        await lose(session)
        await say(1)
        bob = await sync_to_async(User.objects.create_user)("bob")
        back = await connect(user=bob, pid=pid)
        assert back.transport.reply["pid"] != pid and numbers(back) == []

    async def test_a_room_that_is_lost_is_not_recovered_in_part(self, connect, lobby, alice):
        secret = await Room.objects.acreate(name="secret")
        membership = await Membership.objects.acreate(room=secret, user=alice)
        session = await connect()
        await send(session, '420["join","secret"]')
        pid = session.transport.reply["pid"]
        await lose(session)
        await say(1)
        await say(2, "secret")
        await membership.adelete()
        back = await connect(pid=pid)
        assert back.transport.reply["pid"] != pid
        assert numbers(back) == [] and set(back.rooms) == {"lobby"}
        await say(3)
        await until_heard(back, 3)

    async def test_what_is_gone_is_not_recovered(self, connect, lobby):
        lobby.history_size = 2
        await lobby.asave()
        session = await connect()
        pid = session.transport.reply["pid"]
        await lose(session)
        for number in range(5):
            await say(number)
        back = await connect(pid=pid)
        assert back.transport.reply["pid"] != pid and numbers(back) == []

    @pytest.mark.parametrize("code", [CloseCode.FORCED, CloseCode.INVALID_TOKEN, CloseCode.NORMAL])
    async def test_one_that_was_ended_is_not_taken_up(self, connect, lobby, code):
        session = await connect()
        pid = session.transport.reply["pid"]
        session.close(code)
        await lose(session)
        assert await _peek(pid) is None

    @pytest.mark.parametrize("code", [CloseCode.SHUTDOWN, CloseCode.NO_PONG, CloseCode.SLOW])
    async def test_one_that_was_lost_is_kept(self, connect, lobby, code):
        session = await connect()
        pid = session.transport.reply["pid"]
        session.close(code)
        await lose(session)
        assert await _peek(pid) is not None

    async def test_one_that_goes_on_is_ended_first(self, connect, lobby, other_node):
        await other_node.control.hear()
        session = await connect(on=other_node)
        await say(1)
        await until_heard(session, 1)
        pid, [(_, offset)] = session.transport.reply["pid"], session.transport.heard()
        back = await connect(pid=pid, offset=offset)
        assert session.is_closed
        assert back.transport.reply["pid"] == pid
        await say(2)
        await until_heard(back, 2)
        assert numbers(back) == [2] and numbers(session) == [1]

    async def test_nothing_is_left_behind(self, connect, rooms, node, journals):
        session = await connect()
        await send(session, '420["join","room1"]')
        other = await connect()
        await send(other, '42["leave","lobby"]')
        await lose(session)
        await lose(other)
        assert journals[node].logs == {}
        assert not node.sessions

    async def test_without_recovery_nothing_is_kept(self, connect, lobby):
        session = await connect(recovery=False)
        assert "pid" not in session.transport.reply
        await say(1)
        async with asyncio.timeout(60):
            while not session.transport.events("chat message"):
                await asyncio.sleep(0)
        assert session.transport.events("chat message") == [[1]]


async def _peek(pid):
    """What is kept; it is not kept any longer."""
    return await get_layer().redeem_ticket(f"socketio/{pid}")


async def test_what_came_later_than_its_turn_makes_recovery_impossible(connect, rooms, node):
    """The last message that the client has got is older than others that it has got before."""
    session = await connect()
    for room in rooms:
        await send(session, f'42["join","{room.name}"]')
    pid = session.protocol.pid
    node.hub.suspend("room1", session)
    await say(1, "room1")
    await say(2, "room2")
    await until_heard(session, 2)
    node.hub.resume("room1", session)
    await until_heard(session, 1)
    last = session.transport.heard()[-1][1]
    await lose(session)
    again = await connect(pid=pid, offset=last)
    assert numbers(again) == []
    assert again.transport.reply["pid"] != pid


async def test_the_record_of_a_session_is_no_ticket(connect, lobby, hub_layer):
    session = await connect()
    pid = session.protocol.pid
    await lose(session)
    scope = {
        **{"type": "websocket", "path": "/ws/", "query_string": f"ticket=socketio/{pid}".encode()},
        **{"headers": [], "subprotocols": [], "client": ("127.0.0.1", 1)},
    }
    found = {}

    async def inner(scope, receive, send):
        found.update(scope)

    await JWTAuthMiddleware(inner)(scope, None, None)
    assert found["identity"] is None
    assert "unknown" in str(found["authentication_error"])
    assert (await connect(pid=pid)).transport.reply["pid"] == pid

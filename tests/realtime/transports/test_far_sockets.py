"""WebSockets that reach another process than the one whose session they are for."""

import asyncio
import json
import uuid
from functools import partial

import pytest

from realtime.codes import CloseCode
from realtime.exceptions import LayerUnavailable
from realtime.hub.node import Node, close_node
from realtime.protocols.engineio import NOOP
from realtime.transports import relay, session_ids
from realtime.transports.engineio import EngineIO
from realtime.transports.polling_sessions import Sessions, get_sessions
from realtime.transports.upgrading import upgrade
from tests.support.polling import MessageConsumer, PollingClient, authenticate, start_poll


@pytest.fixture
async def here(either_layer, monkeypatch, polling_settings):
    """The process that has the session."""
    monkeypatch.setattr("realtime.hub.node.get_layer", lambda: either_layer)
    sessions = get_sessions()
    yield sessions
    for session in sessions._sessions.copy().values():
        session.end()
    async with asyncio.timeout(30):
        while sessions._far_sockets or sessions.relay.listeners or sessions.relay._tasks:
            await asyncio.sleep(0.01)
    await close_node()


@pytest.fixture
async def elsewhere(here, either_layer):
    """The process that the WebSocket reaches."""
    node = Node(either_layer)
    sessions = Sessions(node)
    yield sessions
    assert not sessions.relay.listeners
    await node.close()


@pytest.fixture
def consumer():
    return MessageConsumer()


@pytest.fixture
async def client(consumer, here):
    client = PollingClient(EngineIO(consumer, authenticate), token="alice")
    await client.open()
    await client.call(id=1, connect={})
    return client


@pytest.fixture
async def probe(client, elsewhere):
    """Opens WebSockets of the client's session, in the other process."""
    opened = []

    async def _probe(client=client):
        app = partial(upgrade, authenticate=authenticate, get_sessions=lambda: elsewhere)
        socket = client.websocket(app)
        opened.append(socket)
        is_accepted, _ = await socket.connect(timeout=30)
        return socket if is_accepted else None

    yield _probe
    for socket in opened:
        await socket.disconnect()


@pytest.fixture
async def socket(client, probe, here):
    """A WebSocket that the session has changed to."""
    socket = await probe()
    await socket.send_to("2probe")
    assert await socket.receive_from(timeout=30) == "3probe"
    await socket.send_to("5")
    async with asyncio.timeout(30):
        while not here.get(client.sid).is_upgraded:
            await asyncio.sleep(0.01)
    return socket


async def until_ended(here):
    async with asyncio.timeout(30):
        while len(here):
            await asyncio.sleep(0.01)


async def test_messages_are_passed_on_in_both_directions(socket, consumer):
    await socket.send_to('4{"id":2,"rpc":{"method":"nothing"}}')
    assert json.loads((await socket.receive_from(timeout=30))[1:])["id"] == 2
    await socket.send_to(bytes_data=b"\x00\xff")
    assert json.loads((await socket.receive_from(timeout=30))[1:])["id"] == 9
    consumer.sessions[0].write("4hello")
    consumer.sessions[0].write(b"\x01")
    assert await socket.receive_from(timeout=30) == "4hello"
    assert await socket.receive_from(timeout=30) == b"\x01"


async def test_a_poll_ends_when_the_client_tries_the_socket(client, probe, here):
    poll = await start_poll(client)
    socket = await probe()
    await socket.send_to("2probe")
    assert await socket.receive_from(timeout=30) == "3probe"
    assert (await poll).packets == [NOOP]


async def test_many_messages_stay_in_order(socket, consumer):
    session = consumer.sessions[0]
    for number in range(500):
        session.write(f"4{number}")
        if number % 50 == 0:
            await asyncio.sleep(0)
    got = []
    while len(got) < 500:
        packet = await socket.receive_from(timeout=30)
        if packet == "2":
            await socket.send_to("3")
        else:
            got.append(packet)
    assert got == [f"4{number}" for number in range(500)]


async def test_the_end_of_the_socket_is_the_end_of_the_session(socket, here, consumer):
    await socket.disconnect()
    await until_ended(here)
    assert consumer.sessions[0].is_closed


async def test_the_server_closes_over_the_socket(socket, consumer, here):
    consumer.sessions[0].close(CloseCode.FORCED)
    assert await socket.receive_from(timeout=30) == "4closed 3503"
    assert (await socket.receive_output(timeout=30))["code"] == 3503
    await until_ended(here)


async def test_a_message_that_is_lost_on_the_way_ends_the_connection(
    socket, consumer, here, monkeypatch
):
    send = here.relay._layer.group_send

    async def lose(group, message):
        if message["type"] != relay._TELL:
            await send(group, message)

    monkeypatch.setattr(here.relay._layer, "group_send", lose)
    consumer.sessions[0].write("4lost")
    await asyncio.sleep(0.05)
    monkeypatch.setattr(here.relay._layer, "group_send", send)
    consumer.sessions[0].write("4seen")
    assert (await socket.receive_output(timeout=30))["type"] == "websocket.close"
    await until_ended(here)


async def test_the_session_ends_if_nothing_can_be_passed_on(socket, consumer, here, monkeypatch):
    async def fail(group, message):
        raise LayerUnavailable("away")

    monkeypatch.setattr(here.relay._layer, "group_send", fail)
    consumer.sessions[0].write("4lost")
    await until_ended(here)
    monkeypatch.undo()
    await socket.send_to("4x")
    assert (await socket.receive_output(timeout=30))["type"] == "websocket.close"


async def test_a_probe_that_stops_half_way_leaves_the_session_polling(client, probe, here):
    socket = await probe()
    await socket.send_to("2probe")
    assert await socket.receive_from(timeout=30) == "3probe"
    await socket.disconnect()
    async with asyncio.timeout(30):
        while here.get(client.sid).is_probed:
            await asyncio.sleep(0.01)
    await client.call(id=3, rpc={"method": "x"})
    assert await probe() is not None


@pytest.mark.parametrize("message", ["x", "4a\x1e4b", "\x1e", "b*"])
async def test_any_text_is_passed_on_as_it_is(socket, client, here, message):
    inbox, got = here.get(client.sid)._inbox, []
    inbox._receiver = type("Receiver", (), {"receive": lambda self, text: got.append(text)})()
    await socket.send_to(message)
    async with asyncio.timeout(30):
        while not got:
            await asyncio.sleep(0.01)
    assert got == [message]


async def test_nobody_else_gets_a_socket_for_a_session(client, probe, monkeypatch):
    monkeypatch.setattr(relay, "TAKEN_SECONDS", 0.2)
    gone = session_ids.new(uuid.uuid4().hex[:12])
    for token, sid in [("bob", client.sid), ("mallory", client.sid), ("alice", gone)]:
        other = PollingClient(client.app, token=token)
        other.sid = sid
        assert await probe(other) is None
    later = PollingClient(client.app, token="alice.2")
    later.sid = client.sid
    assert await probe(later) is not None

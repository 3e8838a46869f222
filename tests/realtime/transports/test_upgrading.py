"""Clients that poll, and change to a WebSocket."""

import asyncio
import json
from functools import partial

import pytest

from realtime.codes import CloseCode
from realtime.protocols.engineio import NOOP
from realtime.transports.engineio import EngineIO
from realtime.transports.polling_sessions import get_sessions
from realtime.transports.upgrading import upgrade
from tests.support.polling import PollingClient, authenticate, start_poll


@pytest.fixture
async def client(consumer):
    client = PollingClient(EngineIO(consumer, authenticate), token="alice")
    await client.open()
    await client.call(id=1, connect={})
    return client


@pytest.fixture
async def probe(client):
    """Opens WebSockets with the id of the client's session."""
    opened = []

    async def _probe(client=client, **query):
        socket = client.websocket(partial(upgrade, authenticate=authenticate), **query)
        opened.append(socket)
        is_accepted, _ = await socket.connect(timeout=30)
        return socket if is_accepted else None

    yield _probe
    for socket in opened:
        await socket.disconnect()


async def ask(socket):
    await socket.send_to("2probe")
    assert await socket.receive_from(timeout=30) == "3probe"


async def change(socket):
    """Wait until the session has changed."""
    await socket.send_to("5")
    sessions = list(get_sessions()._sessions.values())
    async with asyncio.timeout(30):
        while not any(session.is_upgraded for session in sessions):
            await asyncio.sleep(0)


async def test_a_client_changes_as_stock_clients_do(client, probe, consumer):
    poll = await start_poll(client)
    socket = await probe()
    await ask(socket)
    assert (await poll).packets == [NOOP]
    await change(socket)
    await socket.send_to('4{"id":2,"rpc":{"method":"nothing"}}')
    reply = json.loads((await socket.receive_from(timeout=30))[1:])
    assert reply["id"] == 2
    consumer.sessions[0].write("4hello")
    assert await socket.receive_from(timeout=30) == "4hello"


async def test_what_waits_at_the_change_comes_first_over_the_socket(client, probe, consumer):
    session = consumer.sessions[0]
    socket = await probe()
    await ask(socket)
    session.write("4first")
    session.write(b"\x01")
    await change(socket)
    session.write("4third")
    assert await socket.receive_from(timeout=30) == "4first"
    assert await socket.receive_from(timeout=30) == b"\x01"
    assert await socket.receive_from(timeout=30) == "4third"


async def test_messages_go_to_polls_until_the_change(client, probe, consumer):
    socket = await probe()
    await ask(socket)
    consumer.sessions[0].write("4still polling")
    assert await client.poll() == ["4still polling"]
    assert await socket.receive_nothing()


async def test_a_poll_after_the_probe_comes_to_its_end_too(client, probe):
    socket = await probe()
    await ask(socket)
    assert await client.poll() == [NOOP]
    assert await client.poll() == [NOOP]


async def test_nothing_is_lost_doubled_or_out_of_order(client, probe, consumer):
    session, got = consumer.sessions[0], []
    is_polling = True

    async def keep_polling():
        while is_polling:
            got.extend(packet for packet in await client.poll() if packet != NOOP)

    async def write():
        for number in range(300):
            session.write(f"4{number}")
            if number % 7 == 0:
                await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    polling = asyncio.create_task(keep_polling())
    socket = await probe()
    await ask(socket)
    is_polling = False
    await polling
    await change(socket)
    await writing
    while len(got) < 300:
        got.append(await socket.receive_from(timeout=30))
    assert got == [f"4{number}" for number in range(300)]


@pytest.mark.parametrize("packets", [[], ["2probe"], ["2probe", "4early"], ["x"], [b"\x00"]])
async def test_a_probe_that_stops_half_way_leaves_the_session_polling(
    client, probe, consumer, packets
):
    socket = await probe()
    for packet in packets:
        await socket.send_to(**{"text_data" if isinstance(packet, str) else "bytes_data": packet})
    await socket.disconnect()
    async with asyncio.timeout(30):
        while get_sessions().get(client.sid).is_probed:
            await asyncio.sleep(0)
    poll = await start_poll(client)
    consumer.sessions[0].write("4go on")
    assert (await poll).packets == ["4go on"]
    again = await probe()
    await ask(again)


async def test_a_probe_that_waits_too_long_is_closed(client, probe, settings, consumer):
    settings.REALTIME = {**settings.REALTIME, "CONNECT_SECONDS": 0.05}
    socket = await probe()
    await ask(socket)
    assert (await socket.receive_output(timeout=30))["type"] == "websocket.close"
    consumer.sessions[0].write("4go on")
    assert await client.poll() == ["4go on"]


async def test_of_two_probes_at_once_the_second_is_closed(client, probe):
    first = await probe()
    second = await probe()
    assert (await second.receive_output(timeout=30))["type"] == "websocket.close"
    await ask(first)
    await change(first)


async def test_a_session_that_has_changed_is_not_polled_and_not_changed_again(client, probe):
    socket = await probe()
    await ask(socket)
    await change(socket)
    for method in ("GET", "POST"):
        assert (await client.request(method, b"4x")).code == 3
    assert await probe() is None


async def test_a_poll_that_is_open_at_the_change_is_answered(client, probe):
    socket = await probe()
    poll = await start_poll(client)
    await change(socket)
    assert (await poll).packets == [NOOP]


async def test_the_end_of_the_socket_is_the_end_of_the_session(client, probe, consumer):
    socket = await probe()
    await ask(socket)
    await change(socket)
    await socket.disconnect()
    assert not len(get_sessions())
    assert consumer.sessions[0].is_closed


async def test_the_server_closes_over_the_socket(client, probe, consumer):
    socket = await probe()
    await ask(socket)
    await change(socket)
    consumer.sessions[0].close(CloseCode.FORCED)
    assert await socket.receive_from(timeout=30) == "4closed 3503"
    assert (await socket.receive_output(timeout=30))["code"] == 3503


async def test_a_session_that_ends_takes_its_probe_along(client, probe):
    socket = await probe()
    await ask(socket)
    await client.post("1")
    assert (await socket.receive_output(timeout=30))["type"] == "websocket.close"


async def test_nobody_else_gets_a_socket_for_a_session(client, probe):
    for token, sid in [("bob", client.sid), ("mallory", client.sid), ("alice", "unknown")]:
        other = PollingClient(client.app, token=token)
        other.sid = sid
        assert await probe(other) is None


async def test_a_page_of_another_origin_gets_no_socket(client, probe):
    client.headers.append((b"origin", b"https://evil.example.com"))
    assert await probe() is None
    client.headers.pop()
    assert await probe() is not None

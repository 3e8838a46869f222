"""A transport over a real socket: order, flow control, and the ends of a connection."""

import asyncio
import socket
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.transports.socket_transport import HIGH_WATER, SocketTransport
from realtime.transports.websocket import Socket
from tests.realtime.transports.test_websocket import (
    MAX_SIZE,
    FakeInbox,
    conversations,
    read_by_the_library,
)
from tests.support.daphne_connections import socket_pair

SECONDS = 30
LARGE = bytes(range(256)) * 4 * 65_536
"""More than the kernel takes."""


class Protocol(asyncio.Protocol):
    def __init__(self):
        self.received = b""
        self.calls = []
        self.changed = asyncio.Event()

    def _note(self, call):
        self.calls.append(call)
        self.changed.set()

    def data_received(self, data):
        if data == b"raise":
            raise ValueError("on purpose")
        self.received += data
        self.changed.set()

    def pause_writing(self):
        self._note("pause")

    def resume_writing(self):
        self._note("resume")

    def connection_lost(self, error):
        self._note(("lost", type(error)))

    async def until(self, condition):
        async with asyncio.timeout(SECONDS):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def connected():
    """The client's end, a transport, and its protocol."""
    client, accepted = socket_pair()
    accepted.setblocking(False)
    client.setblocking(False)
    transport, protocol = SocketTransport(accepted), Protocol()
    transport.set_protocol(protocol)
    yield client, transport, protocol
    client.close()
    transport.abort()
    await protocol.until(lambda: any("lost" in call for call in protocol.calls))
    assert len([call for call in protocol.calls if "lost" in call]) == 1, "it ends once"
    assert accepted.fileno() == -1, "it is closed"


async def receive(client, size):
    loop = asyncio.get_running_loop()
    received = bytearray()
    async with asyncio.timeout(SECONDS):
        while len(received) < size and (part := await loop.sock_recv(client, 1 << 20)):
            received += part
    return bytes(received)


async def test_bytes_go_both_ways(connected):
    client, transport, protocol = connected
    transport.write(b"hello ")
    transport.write(b"client")
    assert await receive(client, 12) == b"hello client"
    client.send(b"hello server")
    await protocol.until(lambda: protocol.received == b"hello server")
    assert transport.get_protocol() is protocol
    assert transport.get_write_buffer_size() == 0


async def test_what_a_slow_client_does_not_take_is_kept_in_order_and_writing_pauses(connected):
    client, transport, protocol = connected
    transport.write(LARGE)
    transport.write(b"the rest")
    assert protocol.calls == ["pause"]
    assert HIGH_WATER < transport.get_write_buffer_size() < len(LARGE)
    assert await receive(client, len(LARGE) + 8) == LARGE + b"the rest"
    await protocol.until(lambda: protocol.calls == ["pause", "resume"])
    assert transport.get_write_buffer_size() == 0


async def test_a_little_that_is_left_over_pauses_nothing(connected):
    _, transport, protocol = connected
    while not transport.get_write_buffer_size():
        transport.write(bytes(100))
    assert protocol.calls == []


async def test_a_close_comes_after_what_was_written(connected):
    client, transport, protocol = connected
    transport.write(LARGE)
    transport.close()
    transport.close()
    transport.write(b"not sent")
    assert transport.is_closing()
    assert await receive(client, len(LARGE) + 1) == LARGE
    await protocol.until(lambda: ("lost", type(None)) in protocol.calls)
    assert "resume" in protocol.calls


async def test_an_abort_waits_for_nobody(connected):
    _, transport, protocol = connected
    transport.write(LARGE)
    transport.close()
    transport.abort()
    transport.abort()
    await protocol.until(lambda: ("lost", type(None)) in protocol.calls)


async def test_nothing_is_read_while_reading_is_paused(connected):
    client, transport, protocol = connected
    transport.pause_reading()
    transport.pause_reading()
    client.send(b"later")
    transport.write(b"now")
    assert await receive(client, 3) == b"now"
    await asyncio.sleep(0)
    assert protocol.received == b""
    transport.resume_reading()
    await protocol.until(lambda: protocol.received == b"later")


async def test_the_end_of_the_client_is_the_end(connected):
    client, transport, protocol = connected
    client.shutdown(socket.SHUT_WR)
    await protocol.until(lambda: protocol.calls == [("lost", type(None))])
    transport.resume_reading()
    assert transport.is_closing()


@pytest.mark.parametrize("while_writing", [False, True])
async def test_a_reset_is_the_end(connected, while_writing):
    client, transport, protocol = connected
    if while_writing:
        transport.pause_reading()
        transport.write(LARGE)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    await protocol.until(lambda: any("lost" in call for call in protocol.calls))
    assert issubclass(protocol.calls[-1][1], OSError)
    transport.write(b"nobody reads it")


async def test_a_write_that_fails_is_the_end(connected):
    client, transport, _ = connected
    transport.pause_reading()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    async with asyncio.timeout(SECONDS):
        while not transport.is_closing():
            transport.write(b"x")
            await asyncio.sleep(0)


async def test_a_protocol_that_raises_ends_its_connection(connected):
    client, _, protocol = connected
    noted = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: noted.append(context))
    client.send(b"raise")
    await protocol.until(lambda: protocol.calls == [("lost", ValueError)])
    assert str(noted[0]["exception"]) == "on purpose"


class Inbox(FakeInbox):
    on_room = None


async def over_a_socket(data, cuts):
    """What a `Socket` reads and answers over a connection on which `data` arrives in parts."""
    client, accepted = socket_pair()
    client.setblocking(False)
    accepted.setblocking(False)
    inbox, ended = Inbox(), asyncio.Event()
    transport = SocketTransport(accepted)
    taken = Socket(
        transport, is_writable=True, max_size=MAX_SIZE, on_end=lambda socket: ended.set()
    )
    taken.listen(inbox)
    transport.set_protocol(taken)
    loop = asyncio.get_running_loop()

    async def send():
        try:
            for begin, end in pairwise(cuts):
                await loop.sock_sendall(client, data[begin:end])
                await asyncio.sleep(0)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was closed before the end

    async with asyncio.timeout(SECONDS):
        sending = asyncio.create_task(send())
        answered = bytearray()
        try:
            while part := await loop.sock_recv(client, 65_536):
                answered += part
        except ConnectionResetError:
            pass
        await sending
        await ended.wait()
    client.close()
    return inbox.received, bytes(answered)


@settings(max_examples=25, deadline=None)
@given(conversations, st.lists(st.integers(0, 200_000), max_size=6))
def test_everything_is_read_as_the_library_reads_it_also_over_a_socket(data, cuts):
    places = sorted({cut for cut in cuts if cut < len(data)} | {0, len(data)})
    messages, answers, is_open = read_by_the_library(data)
    received, answered = asyncio.run(over_a_socket(data, places))
    assert received == messages
    # What is still on the way when a connection is closed may take the answer with it.
    assert answered == answers if is_open else answers.startswith(answered)

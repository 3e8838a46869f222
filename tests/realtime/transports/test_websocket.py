"""An open connection, without a network: it reads and writes as `websockets` does.

Long, because it mirrors one module.
"""

import asyncio
import gc
import struct
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

from realtime.connection.inbox import MOST_WAITING, Inbox
from realtime.transports.frames import encode_message, end_of_frame
from realtime.transports.websocket import Socket

MAX_SIZE = 100_000


class FakeTransport:
    """Keeps what is written."""

    def __init__(self):
        self.written = b""
        self.calls = []
        self.aborted = asyncio.Event()
        self._is_closing = False

    def write(self, data):
        self.written += data

    def is_closing(self):
        return self._is_closing

    def close(self):
        self._is_closing = True

    def abort(self):
        self.calls.append("abort")
        self.aborted.set()
        self.close()

    def pause_reading(self):
        self.calls.append("pause")

    def resume_reading(self):
        self.calls.append("resume")


class FakeInbox:
    def __init__(self):
        self.received = []
        self.is_full = self.is_overfull = False
        self.has_ended = False
        self.charged = 0

    def receive(self, text):
        self.received.append(text)

    def charge(self, frames):
        self.charged += frames

    def end(self):
        self.has_ended = True

    def give_up(self):
        self.received.append("given up")


def open_socket(max_size=MAX_SIZE):
    transport, inbox = FakeTransport(), FakeInbox()
    socket = Socket(transport, is_writable=True, max_size=max_size, on_end=transport.calls.append)
    socket.listen(inbox)
    return socket, transport, inbox


def read_by_the_library(data):
    """What a server gets out of `data` that leaves all of it to `websockets`: the messages, and
    what it answers."""
    parser = ServerProtocol(state=OPEN, max_size=MAX_SIZE)
    messages, parts, is_text = [], [], True
    parser.receive_data(data)
    for event in parser.events_received():
        if event.opcode in (Opcode.TEXT, Opcode.BINARY):
            parts, is_text = [], event.opcode is Opcode.TEXT
        if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            parts.append(event.data)
            if event.fin:
                message = b"".join(parts)
                messages.append(message.decode() if is_text else message)
    return messages, b"".join(parser.data_to_send()), parser.state is OPEN


def frame(opcode, data, fin=True, mask=True):
    return Frame(opcode, data, fin).serialize(mask=mask)


texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from([124, 125, 126, 127, 65_535, 65_536, 70_000]).map("x".__mul__),
    st.just("é" * 40_000),
).map(str.encode)
whole = st.builds(frame, st.sampled_from([Opcode.TEXT, Opcode.BINARY]), texts)
control = st.builds(frame, st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125))


@st.composite
def fragmented(draw):
    """A text in several frames, perhaps with pings between them."""
    first, *others = draw(st.lists(texts, min_size=2, max_size=4))
    frames = [frame(Opcode.TEXT, first, fin=False)]
    for number, part in enumerate(others, 1):
        frames += draw(st.lists(control, max_size=1))
        frames.append(frame(Opcode.CONT, part, fin=number == len(others)))
    return b"".join(frames)


endings = st.one_of(
    st.just(b""),
    st.sampled_from([1000, 1001, 3000]).map(
        lambda code: frame(Opcode.CLOSE, struct.pack("!H", code) + b"bye")
    ),
    st.just(frame(Opcode.TEXT, b"not masked", mask=False)),
    st.just(frame(Opcode.CONT, b"of nothing")),
    st.just(bytes((0xF1, 0x80, 0, 0, 0, 0))),
    st.just(bytes((0x83, 0x80, 0, 0, 0, 0))),
    st.just(frame(Opcode.TEXT, b"x" * (MAX_SIZE + 1))),
    st.just(frame(Opcode.CLOSE, struct.pack("!H", 1005))),
)
conversations = st.tuples(
    st.lists(st.one_of(whole, control, fragmented()), max_size=5).map(b"".join), endings
).map(b"".join)


@given(conversations, st.lists(st.integers(0, 200_000), max_size=6))
@example(frame(Opcode.TEXT, b"[1]") * 3, [1, 2, 7, 8])
@example(frame(Opcode.TEXT, b"x" * 70_000) + frame(Opcode.TEXT, b"[1]"), [5, 69_000])
def test_everything_is_read_as_the_library_reads_it_however_it_is_cut(data, cuts):
    socket, transport, inbox = open_socket()
    places = sorted({cut for cut in cuts if cut < len(data)} | {0, len(data)})
    for begin, end in pairwise(places):
        if not transport.is_closing():
            socket.data_received(data[begin:end])
    messages, answered, is_open = read_by_the_library(data)
    assert (inbox.received, transport.written) == (messages, answered)
    assert transport.is_closing() is not is_open


def test_whole_messages_need_no_parser(monkeypatch):
    monkeypatch.setattr("realtime.transports.websocket.open_parser", None)
    socket, _, inbox = open_socket()
    socket.data_received(frame(Opcode.TEXT, b"[1]") + frame(Opcode.BINARY, b"\xff" * 300))
    assert inbox.received == ["[1]", b"\xff" * 300]
    assert socket.write_frame(b"\xfe")


def test_one_byte_at_a_time():
    socket, _, inbox = open_socket()
    for byte in frame(Opcode.TEXT, b"[1]") + frame(Opcode.TEXT, b"x" * 300):
        socket.data_received(bytes((byte,)))
    assert inbox.received == ["[1]", "x" * 300]


@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_bytes_make_it_raise(data, cut):
    socket, transport, _ = open_socket()
    for part in (data[:cut], data[cut:]):
        if not transport.is_closing():
            socket.data_received(part)


@given(st.binary(min_size=4, max_size=20), st.integers(0, 3))
def test_the_end_of_a_frame_is_behind_its_begin(data, begin):
    end = end_of_frame(data, begin)
    assert end is None or end > begin


@given(texts)
def test_a_frame_is_written_as_it_was_meant(payload):
    reader = StreamReader()
    reader.feed_data(encode_message(payload.decode()))
    parsing = Frame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as end:
        next(parsing)
    read = end.value.value
    assert (read.fin, read.opcode, read.data) == (True, Opcode.TEXT, payload)


def test_a_text_that_is_not_utf_8_ends_the_connection_with_1007():
    socket, transport, inbox = open_socket()
    socket.data_received(frame(Opcode.TEXT, b"\xff") + frame(Opcode.TEXT, b"[1]"))
    assert inbox.received == []
    assert close_code(transport) == CloseCode.INVALID_DATA


def test_a_message_above_the_server_s_limit_ends_the_connection_with_1009():
    socket, transport, inbox = open_socket(max_size=10)
    socket.data_received(frame(Opcode.TEXT, b"x" * 11))
    assert inbox.received == []
    assert close_code(transport) == CloseCode.MESSAGE_TOO_BIG


def test_after_a_special_frame_plain_ones_need_no_parser():
    socket, _, inbox = open_socket()
    socket.data_received(frame(Opcode.PING, b""))
    socket.data_received(frame(Opcode.TEXT, b"[1]"))
    assert socket._parser is None
    assert inbox.received == ["[1]"]


LARGE = frame(Opcode.TEXT, b"x" * 90_000)


@pytest.fixture
def no_collector():
    gc.disable()
    yield
    gc.enable()


def test_after_a_large_frame_plain_ones_need_no_parser():
    socket, _, inbox = open_socket()
    for part in (LARGE[:5], LARGE[5:60_000], LARGE[60_000:] + frame(Opcode.TEXT, b"[1]")):
        socket.data_received(part)
    assert socket._parser is None
    assert inbox.received == ["x" * 90_000, "[1]"]


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_a_large_message_needs_no_parser(opcode):
    socket, _, inbox = open_socket()
    data = frame(opcode, b"x" * 80_000) + frame(Opcode.TEXT, b"[1]")
    for begin in range(0, len(data), 30_000):
        socket.data_received(data[begin : begin + 30_000])
        assert socket._parser is None
    expected = "x" * 80_000 if opcode is Opcode.TEXT else b"x" * 80_000
    assert inbox.received == [expected, "[1]"]


@pytest.mark.parametrize("received", [len(LARGE), len(LARGE) - 1], ids=["whole", "unfinished"])
def test_a_large_frame_is_not_kept_until_the_garbage_is_collected(no_collector, received):
    tracemalloc.start()
    try:
        sockets = []
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20):
            socket, _, inbox = open_socket()
            socket.data_received(LARGE[:received])
            inbox.received.clear()
            if received < len(LARGE):
                socket.connection_lost(None)
            sockets.append(socket)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20 * 20_000


@pytest.mark.parametrize("before", [b"", frame(Opcode.TEXT, b"x" * 70_000)])
def test_frames_that_are_no_whole_message_are_charged(before):
    socket, _, inbox = open_socket()
    socket.data_received(before)
    socket.data_received(frame(Opcode.PING, b"") * 5 + frame(Opcode.PONG, b"") * 3)
    assert inbox.charged == 8
    socket.data_received(
        frame(Opcode.TEXT, b"", fin=False) + frame(Opcode.CONT, b"a", fin=False) * 3
    )
    socket.data_received(frame(Opcode.CONT, b"b"))
    assert inbox.charged == 12
    assert inbox.received[-1] == "aaab"


def test_of_a_flood_that_is_refused_little_is_parsed():
    socket, transport, inbox = open_socket()
    socket.data_received(frame(Opcode.TEXT, b"x" * 70_000))
    inbox.charge = lambda frames: transport.abort()
    socket.data_received(frame(Opcode.PING, b"") * 40_000)
    assert transport.written.count(frame(Opcode.PONG, b"", mask=False)) < 1_000


def test_a_client_that_does_not_read_its_pongs_is_not_read():
    socket, transport, _ = open_socket()
    socket.pause_writing()
    socket.data_received(frame(Opcode.PING, b"") * 5)
    assert transport.calls == ["pause"]
    socket.resume_writing()
    assert transport.calls == ["pause", "resume"]


async def test_a_client_that_goes_on_after_the_close_is_cut():
    socket, transport, _ = open_socket()
    await socket.send({"type": "websocket.close", "code": 3503, "reason": "because"})
    socket.data_received(frame(Opcode.TEXT, b"[1]") * 500)
    assert not transport.is_closing()
    socket.data_received(frame(Opcode.TEXT, b"[1]") * 5_000)
    assert transport.calls[-1] == "abort"


async def test_our_close_waits_for_the_client_s_and_hears_nothing_else():
    socket, transport, inbox = open_socket()
    await socket.send({"type": "websocket.close", "code": 3503, "reason": "because"})
    assert transport.written == frame(
        Opcode.CLOSE, struct.pack("!H", 3503) + b"because", mask=False
    )
    assert not socket.write_frame("{}")
    socket.data_received(frame(Opcode.TEXT, b"[1]"))
    assert not transport.is_closing()
    socket.data_received(frame(Opcode.CLOSE, struct.pack("!H", 3503)))
    assert transport.is_closing()
    assert inbox.received == []


async def test_a_client_that_does_not_close_is_cut():
    socket, transport, inbox = open_socket()
    socket.expect_end(0.01)
    assert transport.calls == []
    async with asyncio.timeout(60):
        await transport.aborted.wait()
    assert transport.calls == ["abort"]
    assert inbox.received == ["given up"]


async def test_a_client_that_closes_is_not_cut():
    socket, transport, inbox = open_socket()
    socket.expect_end(0.01)
    socket.connection_lost(None)
    await asyncio.sleep(0.05)  # timers of one loop run in order: the cut would come before the end
    assert transport.calls == [socket], "it is told, and not cut"
    assert inbox.has_ended


async def test_a_full_connection_takes_no_more_until_it_has_room():
    socket, transport, _ = open_socket()
    socket.pause_writing()
    assert not socket.write_frame("now")
    sending = asyncio.create_task(socket.send({"type": "websocket.send", "text": "later"}))
    await asyncio.sleep(0)
    assert transport.written == b""
    socket.resume_writing()
    await sending
    assert transport.written == encode_message("later")


async def test_a_waiting_write_fails_when_the_client_has_gone():
    socket, _, _ = open_socket()
    socket.pause_writing()
    sending = asyncio.create_task(socket.send({"type": "websocket.send", "text": "later"}))
    await asyncio.sleep(0)
    socket.connection_lost(ConnectionResetError())
    with pytest.raises(OSError):
        await sending


def test_a_socket_reads_no_more_while_its_inbox_is_full():
    socket, transport, inbox = open_socket()
    inbox.is_full = True
    socket.data_received(frame(Opcode.TEXT, b"[1]"))
    socket.data_received(frame(Opcode.TEXT, b"[2]"))
    assert transport.calls == ["pause"]
    inbox.on_room()
    inbox.on_room()
    assert transport.calls == ["pause", "resume"]


class Slow:
    """A session whose first frame waits, and that counts the others."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.received = []

    def receive(self, text):
        self.received.append(text)
        return self.gate.wait() if len(self.received) == 1 else None


async def test_of_frames_that_were_read_at_once_few_wait_in_the_inbox():
    socket, transport, _ = open_socket()
    session = Slow()
    inbox = Inbox(session, on_end=lambda: None)
    socket.listen(inbox)
    texts = [str(number) for number in range(10_000)]
    socket.data_received(b"".join(frame(Opcode.TEXT, text.encode()) for text in texts))
    assert len(inbox._waiting) == MOST_WAITING
    handling = inbox._handling
    others = asyncio.create_task(count_turns(handling))
    session.gate.set()
    await handling
    assert session.received == texts
    assert await others > len(texts) / MOST_WAITING
    assert transport.calls[0] == "pause" and transport.calls[-1] == "resume"


async def count_turns(task):
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    return turns


def test_what_comes_after_the_close_is_not_parsed():
    socket, transport, inbox = open_socket()
    socket._close(CloseCode.NORMAL_CLOSURE)
    parser, seen = socket._parser, []
    parser.receive_data = seen.append
    socket.data_received((frame(Opcode.TEXT, b"[1]") + frame(Opcode.PING, b"")) * 100)
    assert (seen, inbox.received, transport.is_closing()) == ([], [], False)
    socket.data_received(LARGE[:70_000])
    socket.data_received(LARGE[70_000:] + LARGE)
    assert (seen, inbox.received, transport.is_closing()) == ([], [], False)
    socket.data_received(frame(Opcode.CLOSE, struct.pack("!H", 1000)))
    assert transport.is_closing()


def test_a_server_that_goes_says_so():
    socket, transport, _ = open_socket()
    socket.shutdown()
    assert close_code(transport) == CloseCode.SERVICE_RESTART


def close_code(transport):
    assert transport.is_closing()
    return int.from_bytes(transport.written[2:4], "big")


@pytest.fixture
def quick_pings(settings):
    settings.REALTIME = {**settings.REALTIME, "PING_SECONDS": 0.05, "PONG_SECONDS": 0.05}


async def test_a_client_that_does_not_answer_pings_is_reported(quick_pings):
    socket, transport, _ = open_socket()
    silent = asyncio.Event()
    socket.start_pings(silent.set)
    async with asyncio.timeout(10):
        await silent.wait()
    assert transport.written.startswith(frame(Opcode.PING, b"", mask=False))
    socket.connection_lost(None)


async def test_a_pong_is_a_sign_of_life(settings):
    settings.REALTIME = {**settings.REALTIME, "PING_SECONDS": 0.3, "PONG_SECONDS": 1}
    socket, transport, _ = open_socket()
    silent = asyncio.Event()
    socket.start_pings(silent.set)
    async with asyncio.timeout(10):
        for count in range(1, 6):
            while transport.written.count(frame(Opcode.PING, b"", mask=False)) < count:
                await asyncio.sleep(0.001)
            socket.data_received(frame(Opcode.PONG, b""))
    assert not silent.is_set()
    socket.connection_lost(None)
    assert socket._heartbeat._next is None, "nobody is pinged after the end"

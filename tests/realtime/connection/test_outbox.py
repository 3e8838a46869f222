"""The outbox: bytes in flight and in the queue are bounded, and slow readers are cut.

Long, because it mirrors one module.
"""

import asyncio

import pytest

from realtime.codes import CloseCode
from realtime.connection.outbox import POLL_SECONDS, Outbox
from realtime.connection.session import Session
from realtime.hub.node import Node
from realtime.layers.memory import MemoryRoomLayer
from realtime.protocols.centrifuge import PING, CentrifugeProtocol
from realtime.protocols.plain import PlainProtocol
from realtime.transports.asgi import ASGISink

LIMIT = 4_000  # and so a window of 1,000


@pytest.fixture(autouse=True)
def small(settings):
    settings.REALTIME = {"OUTBOX_MAX_BYTES": LIMIT}


class Wire:
    """Takes everything at once, as Daphne does."""

    def __init__(self):
        self.events = []

    async def send(self, event):
        self.events.append(event)

    @property
    def texts(self):
        return [event["text"] for event in self.events if event["type"] == "websocket.send"]

    @property
    def lines(self):
        return [line for text in self.texts for line in text.split("\n")]


@pytest.fixture
async def start():
    started = []

    def _start(protocol=None, wire=None):
        wire = wire or Wire()
        outbox = Outbox(ASGISink(wire.send), protocol or CentrifugeProtocol())
        started.append(outbox)
        return outbox, wire

    yield _start
    for outbox in started:
        outbox.end()
        await outbox.wait_until_over()


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


class SlowWire(Wire):
    """Waits for the client, as uvicorn does."""

    def __init__(self):
        super().__init__()
        self.reads = asyncio.Event()

    async def send(self, event):
        await super().send(event)
        await self.reads.wait()


async def test_a_server_that_takes_everything_needs_no_task(start):
    outbox, wire = start()
    tasks = asyncio.all_tasks()
    outbox.write("a")
    outbox.write("b")
    assert wire.texts == ["a", "b"]
    assert asyncio.all_tasks() == tasks


class TimedWire(Wire):
    """Limits the time of a close, as a server does that waits for the client's answer."""

    async def send(self, event):
        if event["type"] == "websocket.close":
            async with asyncio.timeout(0.01):
                self.tasks = asyncio.current_task()
                await asyncio.Event().wait()
        await super().send(event)


async def test_a_close_that_begins_in_a_callback_is_sent_in_a_task(start):
    outbox, wire = start()
    asyncio.get_running_loop().call_soon(outbox.close, CloseCode.FORCED, "because")
    await settle()
    assert wire.events[-1] == {"type": "websocket.close", "code": 3503, "reason": "because"}


async def test_the_time_limit_of_a_close_is_not_that_of_the_task_that_closes(start):
    outbox, wire = start(wire=TimedWire())
    outbox.close(CloseCode.FORCED, "because")
    await settle()
    assert wire.tasks is not asyncio.current_task()
    await outbox.wait_until_over()


async def test_a_close_needs_no_task_where_it_can_be_written_at_once(start):
    class Socket(ASGISink):
        __slots__ = ()

        def write_close(self, code, reason):
            written.append((code, reason))
            return True

    written = []
    outbox = Outbox(Socket(Wire().send), CentrifugeProtocol())
    tasks = asyncio.all_tasks()
    outbox.close(CloseCode.FORCED, "because")
    assert written == [(3503, "because")]
    assert asyncio.all_tasks() == tasks


async def test_frames_queued_while_the_server_waits_leave_together_and_in_order(start):
    outbox, wire = start(wire=SlowWire())
    for text in ("a", "b", "c", "d"):
        outbox.write(text)
        await settle()
    assert wire.texts == ["a"]
    wire.reads.set()
    await settle()
    assert wire.texts == ["a", "b\nc\nd"]
    outbox.write("e")
    assert wire.texts == ["a", "b\nc\nd", "e"]


async def test_the_plain_protocol_has_one_message_a_frame(start):
    outbox, wire = start(PlainProtocol("lobby"), SlowWire())
    for text in ("a", "b", "c"):
        outbox.write(text)
    wire.reads.set()
    await settle()
    assert wire.texts == ["a", "b", "c"]


async def test_a_close_comes_after_what_was_written_before(start):
    outbox, wire = start(wire=SlowWire())
    outbox.write("a")
    outbox.write("b")
    outbox.close(CloseCode.SHUTDOWN, "")
    outbox.write("never")
    wire.reads.set()
    await settle()
    assert [event["type"] for event in wire.events][-1] == "websocket.close"
    assert "b" in wire.lines


class BrokenWire(Wire):
    """Fails as uvicorn does when the client has gone: at once, or after it has waited."""

    def __init__(self, waits):
        super().__init__()
        self.waits = waits

    async def send(self, event):
        await super().send(event)
        if self.waits:
            await asyncio.sleep(0)
        raise RuntimeError("the client has gone")


@pytest.mark.parametrize("waits", [False, True])
async def test_nothing_is_written_to_a_client_that_has_gone(start, waits):
    outbox, wire = start(wire=BrokenWire(waits))
    for _ in range(3):
        outbox.write("a")
        await settle()
    outbox.close(CloseCode.FORCED, "")
    assert wire.texts == ["a"]
    assert outbox.unsent_bytes == 0


class FutureWire(Wire):
    """A `send` that returns something to be awaited which is no coroutine."""

    def send(self, event):
        self.events.append(event)
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future


async def test_any_awaitable_will_do(start):
    outbox, wire = start(wire=FutureWire())
    outbox.write("a")
    outbox.write("b")
    await settle()
    assert wire.lines == ["a", "b"]


async def test_nothing_is_sent_beyond_the_window_until_the_client_has_read(start):
    outbox, wire = start()
    for _ in range(4):
        outbox.write("x" * 600)
        await settle()
    assert [len(line) for line in wire.lines if line != PING] == [600, 600]
    assert wire.lines.count(PING) >= 1
    for _ in range(10):
        outbox.acknowledge()
        await settle()
    assert [len(line) for line in wire.lines if line != PING] == [600] * 4


async def test_pings_of_the_session_are_marks_too(start):
    outbox, wire = start()
    outbox.write("x" * 400)
    outbox.write(PING)
    await settle()
    assert wire.lines == ["x" * 400, PING]
    outbox.acknowledge()
    outbox.write("y" * 950)
    outbox.write("z")
    await settle()
    assert "y" * 950 in wire.lines


async def test_more_pongs_than_pings_open_nothing(start):
    outbox, wire = start()
    for _ in range(100):
        outbox.acknowledge()
    for _ in range(4):
        outbox.write("x" * 600)
        await settle()
    assert len([line for line in wire.lines if line != PING]) == 2


async def test_congestion_shows_before_the_limit(start):
    outbox, _ = start()
    for _ in range(2):
        outbox.write("x" * 1_000)
        await settle()
    assert not outbox.is_congested
    outbox.write("x" * 2_000)
    assert outbox.is_congested


async def test_bytes_are_counted_and_not_characters(start):
    outbox, _ = start()
    overflows = []
    outbox.on_overflow = lambda: overflows.append(True)
    outbox.write("x" * 1_000)
    await settle()
    outbox.write("é" * 1_900)
    assert not overflows
    outbox.write("é" * 200)
    assert overflows


@pytest.mark.parametrize("protocol", [CentrifugeProtocol(), PlainProtocol("lobby")])
async def test_a_session_that_does_not_read_is_closed_once_with_3008(protocol):
    written = []

    async def never(event):
        written.append(event)
        if event["type"] == "websocket.send" and len(written) == 1:
            await reads.wait()

    reads = asyncio.Event()
    outbox = Outbox(ASGISink(never), protocol)
    node = Node(MemoryRoomLayer())
    session = Session(transport=outbox, protocol=protocol, node=node)
    outbox.on_overflow = lambda: session.close(CloseCode.SLOW)
    session.open()
    for _ in range(20):
        session.deliver("x" * 900)
        await settle()
    reads.set()
    await settle()
    assert written[-1] == {"type": "websocket.close", "code": 3008, "reason": CloseCode.SLOW.reason}
    assert sum(event["type"] == "websocket.close" for event in written) == 1
    sent = [event["text"] for event in written[1:-1]]  # but what was under way
    last = protocol.encode_disconnect(CloseCode.SLOW, CloseCode.SLOW.reason)
    assert sent == ([last] if last else [])
    await node.close()


async def test_a_close_has_the_part_of_its_reason_that_fits(start):
    outbox, wire = start()
    outbox.close(CloseCode.FORCED, "é" * 300)
    await settle()
    assert wire.events[-1]["reason"] == "é" * 61


async def test_a_frame_written_along_leaves_with_the_next_frame(start):
    outbox, wire = start()
    outbox.write_along("a")
    outbox.write_along("b")
    assert wire.texts == []
    outbox.write("c")
    outbox.write("d")
    assert wire.texts == ["a\nb\nc", "d"]


async def test_a_frame_written_along_leaves_alone_without_a_next_frame(start):
    outbox, wire = start()
    outbox.write_along("a")
    outbox.flush()
    outbox.flush()
    assert wire.texts == ["a"]


async def test_a_frame_written_along_leaves_before_the_close(start):
    outbox, wire = start()
    outbox.write_along("a")
    outbox.close(CloseCode.FORCED, "because")
    await settle()
    assert wire.texts == ["a"]
    assert wire.events[-1]["code"] == CloseCode.FORCED


async def test_a_ping_takes_nothing_along_and_is_answered_as_one(start):
    outbox, wire = start()
    outbox.write_along("a")
    outbox.write(PING)
    outbox.flush()
    assert wire.texts == [PING, "a"]


async def test_without_a_separator_several_messages_go_along(start):
    outbox, wire = start(PlainProtocol("lobby"))
    for text in ("a", "b"):
        outbox.write_along(text)
    assert wire.texts == []
    outbox.write("c")
    assert wire.texts == ["a", "b", "c"]


async def test_nothing_goes_along_after_the_end(start):
    outbox, wire = start()
    outbox.write_along("a")
    outbox.end()
    outbox.flush()
    assert wire.texts == []


class HoldingWire(Wire):
    """Takes everything, and says what the client has not read, as on Daphne."""

    held = 0

    async def send(self, event):
        await super().send(event)
        self.held += len(event.get("text", ""))


class HoldingSink(ASGISink):
    __slots__ = ("wire",)

    def held_bytes(self):
        return self.wire.held


async def test_pongs_of_a_client_that_does_not_read_open_nothing(start):
    wire = HoldingWire()
    sink = HoldingSink(wire.send)
    sink.wire = wire
    outbox, overflows = Outbox(sink, CentrifugeProtocol()), []
    outbox.on_overflow = lambda: overflows.append(True)
    for _ in range(20):
        outbox.write("x" * 600)
        for _ in range(5):
            outbox.acknowledge()
    assert wire.held < LIMIT // 4 + 700
    assert overflows
    wire.held = 0
    async with asyncio.timeout(60):
        while wire.held == 0:
            await asyncio.sleep(POLL_SECONDS)
    outbox.end()


async def test_a_large_reply_counts_until_it_is_read(start):
    outbox, _ = start()
    overflows = []
    outbox.on_overflow = lambda: overflows.append(True)
    outbox.write("x" * 3_900)
    assert outbox.is_congested
    outbox.write("y" * 1_000)
    assert not overflows
    outbox.write("z" * 200)
    assert overflows
    outbox.acknowledge()
    assert not outbox.is_congested


class PausableSink(ASGISink):
    """Writes at once as long as the client reads, as a socket that was taken over."""

    def __init__(self):
        super().__init__(self.wait)
        self.written, self.is_writable, self.resumed = [], True, asyncio.Event()

    def write_frame(self, frame):
        if self.is_writable:
            self.written.append(frame)
        return self.is_writable

    async def wait(self, event):
        await self.resumed.wait()
        self.written.append(event["text"])


async def test_without_pings_nothing_is_checked_while_the_server_takes_everything(monkeypatch):
    sink = PausableSink()
    outbox = Outbox(sink, PlainProtocol("lobby"))
    outbox.write("first")
    monkeypatch.setattr(Outbox, "_window_is_open", None)
    outbox.write("x" * LIMIT)
    outbox.write("second")
    assert len(sink.written) == 3
    monkeypatch.undo()
    sink.is_writable = False
    for text in ("third", "fourth", "fifth"):
        outbox.write(text)
    assert len(sink.written) == 3
    sink.is_writable = True
    outbox.write("sixth")
    assert len(sink.written) == 3, "it does not overtake"
    sink.resumed.set()
    await settle()
    assert sink.written[2:4] == ["second", "third"]
    assert sink.written[4:] == [("fourth", "fifth", "sixth")]
    outbox.write("seventh")
    assert sink.written[-1] == "seventh"
    outbox.end()

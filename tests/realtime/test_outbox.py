"""The outbox: what is under way is bounded, what waits is bounded, and who does not read is cut."""

import asyncio

import pytest

from realtime.hub import Hub
from realtime.layers.memory import MemoryRoomLayer
from realtime.outbox import Outbox
from realtime.protocols.centrifuge import PING, CentrifugeProtocol
from realtime.protocols.codes import CloseCode
from realtime.protocols.plain import PlainProtocol
from realtime.session import Session

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
    draining = []

    def _start(protocol=None):
        wire = Wire()
        outbox = Outbox(wire.send, protocol or CentrifugeProtocol())
        draining.append(asyncio.create_task(outbox.drain()))
        return outbox, wire

    yield _start
    for task in draining:
        task.cancel()
    await asyncio.gather(*draining, return_exceptions=True)


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_gathers_leaves_together(start):
    outbox, wire = start()
    for text in ("a", "b", "c"):
        outbox.write(text)
    await settle()
    assert wire.texts == ["a\nb\nc"]


async def test_the_plain_protocol_has_one_message_a_frame(start):
    outbox, wire = start(PlainProtocol("lobby"))
    outbox.write("a")
    outbox.write("b")
    await settle()
    assert wire.texts == ["a", "b"]


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
    outbox = Outbox(never, protocol)
    hub = Hub(MemoryRoomLayer())
    session = Session(transport=outbox, protocol=protocol, hub=hub)
    outbox.on_overflow = lambda: session.close(CloseCode.SLOW)
    session.open()
    draining = asyncio.create_task(outbox.drain())
    for _ in range(20):
        session.deliver("x" * 900)
        await settle()
    reads.set()
    await asyncio.wait_for(draining, 5)
    assert written[-1] == {"type": "websocket.close", "code": 3008, "reason": CloseCode.SLOW.reason}
    assert sum(event["type"] == "websocket.close" for event in written) == 1
    assert len(written) <= 3  # what was under way, why, and the close
    await hub.close()


async def test_a_close_has_the_part_of_its_reason_that_fits(start):
    outbox, wire = start()
    outbox.close(CloseCode.FORCED, "é" * 300)
    await settle()
    assert wire.events[-1]["reason"] == "é" * 61

"""An outbox writes nothing for a push that the protocol does not have."""

import asyncio

import pytest

from realtime.connection.outbox import Outbox
from realtime.protocols.centrifuge import CentrifugeProtocol
from realtime.protocols.frames import messages_of
from realtime.protocols.plain import PlainProtocol


class Wire:
    """A server that takes a text at once, or through a `send` that waits for the client."""

    def __init__(self, is_fast):
        self.is_fast = is_fast
        self.texts = []
        self.reads = asyncio.Event()

    def write_frame(self, frame):
        if self.is_fast:
            self.texts += messages_of(frame)
        return self.is_fast

    async def send(self, event):
        self.texts.append(event["text"])
        await self.reads.wait()

    def held_bytes(self):
        return 0


@pytest.fixture(params=[True, False], ids=["at once", "waiting"])
async def wire(request):
    return Wire(request.param)


@pytest.fixture(params=[CentrifugeProtocol(), PlainProtocol("lobby")], ids=lambda it: it.name)
async def outbox(request, wire):
    outbox = Outbox(wire, request.param)
    yield outbox
    outbox.end()
    await outbox.wait_until_over()


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_empty_frame_is_not_written(outbox, wire):
    outbox.write("")
    outbox.write_along("")
    outbox.flush()
    await settle()
    assert wire.texts == []


async def test_an_empty_frame_adds_nothing_to_those_that_wait(outbox, wire):
    for frame in ("first", "", "second", "", "third"):
        outbox.write(frame)
    wire.reads.set()
    await settle()
    assert "\n".join(wire.texts) == "first\nsecond\nthird"


async def test_an_empty_frame_adds_nothing_to_what_goes_along(outbox, wire):
    outbox.write_along("first")
    outbox.write_along("")
    outbox.write("")
    outbox.write("second")
    wire.reads.set()
    await settle()
    assert "\n".join(wire.texts) == "first\nsecond"

"""Fan-out: single publications are sent at once, those that arrive together in one frame."""

import asyncio
import time

import msgspec
import pytest

from realtime.hub.lag import LagSampler
from realtime.hub.local_room import BATCH_MAX, FRAME_BYTES, LocalRoom
from realtime.hub.ticks import TickQueue
from realtime.layers.memory import MemoryRoomLayer
from realtime.protocols.centrifuge import CentrifugeProtocol
from realtime.protocols.plain import PlainProtocol
from realtime.rooms.exclusions import with_exclusions
from realtime.rooms.publications import ClientInfo, Publication, publication_body

CENTRIFUGE = CentrifugeProtocol()


class FakeSession:
    """Takes frames, each in so many seconds."""

    def __init__(self, protocol=CENTRIFUGE, seconds=0.0):
        self.protocol = protocol
        self.seconds = seconds
        self.frames = []
        self._came = asyncio.Event()

    def deliver(self, frame):
        time.sleep(self.seconds)  # so does a room with many members, in all
        self.frames.append(frame)
        self._came.set()

    async def until(self, count):
        """Wait for the frame with this number."""
        async with asyncio.timeout(60):
            while len(self.frames) < count:
                self._came.clear()
                await self._came.wait()

    @property
    def lines(self):
        """The number of messages in each frame."""
        return [frame.count("\n") + 1 for frame in self.frames]


@pytest.fixture
async def room():
    layer = MemoryRoomLayer()
    return LocalRoom("lobby", layer, TickQueue(), LagSampler(layer))


@pytest.fixture
def say(room):
    offsets = iter(range(1, 10_000))

    def _say(count, data=b"1"):
        for _ in range(count):
            room.deliver(Publication(next(offsets), publication_body(data, None)))

    return _say


async def turn():
    """Wait until the callbacks of this tick have run."""
    for _ in range(3):
        await asyncio.sleep(0)


def enter(room, **options):
    session = FakeSession(**options)
    room.add(session, watches=False)
    return session


async def test_a_single_publication_is_sent_at_once(room, say):
    session = enter(room)
    say(1)
    await turn()
    assert session.lines == [1]


async def test_a_publication_after_a_single_one_waits_only_for_the_rest_of_that_fan_out(
    room, say, settings
):
    settings.REALTIME = {"COALESCE_SECONDS": 60}
    session = enter(room, seconds=0.3)  # so long that the next one surely waits
    say(1)
    await turn()
    say(1)
    await turn()
    assert session.lines == [1]
    await session.until(2)
    assert session.lines == [1, 1]


async def test_publications_of_one_tick_are_sent_in_one_frame(room, say):
    session = enter(room)
    say(3)
    await turn()
    assert session.lines == [3]


async def test_publications_after_a_batch_wait_and_are_sent_together(room, say, settings):
    settings.REALTIME = {"COALESCE_SECONDS": 0.5}
    session = enter(room, seconds=0.2)
    say(2)
    await turn()
    for _ in range(3):
        say(1)
        await turn()
    assert session.lines == [2]
    await session.until(2)
    assert session.lines == [2, 3]
    say(1)
    await turn()
    assert session.lines == [2, 3]
    await session.until(3)
    assert session.lines == [2, 3, 1]


async def test_a_session_that_enters_gets_no_publication_that_was_waiting(room, say, settings):
    settings.REALTIME = {"COALESCE_SECONDS": 60}
    early = enter(room, seconds=0.2)
    say(2)
    await turn()
    say(1)
    late = enter(room)
    assert (early.lines, late.lines) == ([2, 1], [])


async def test_a_full_batch_is_sent_at_once(room, say):
    session = enter(room)
    say(BATCH_MAX)
    assert session.lines == [BATCH_MAX]


async def test_frames_do_not_get_too_large(room, say):
    session = enter(room)
    say(3, data=b'"%b"' % (b"x" * (FRAME_BYTES // 2)))
    await turn()
    assert session.lines == [1, 1, 1]


async def test_a_protocol_without_a_separator_gets_a_message_for_each_at_once(room, say):
    session, other = enter(room, protocol=PlainProtocol("lobby")), enter(room)
    say(2)
    await turn()
    assert [len(frame) for frame in session.frames] == [2]
    assert other.lines == [2]


async def test_a_session_that_fails_delays_nobody(room, say, caplog):
    class Broken(FakeSession):
        def deliver(self, frame):
            raise RuntimeError("a mistake")

    room.add(Broken(), watches=False)
    session = enter(room)
    say(1)
    await turn()
    assert session.lines == [1]
    assert len(caplog.records) == 1


class SilentProtocol(CentrifugeProtocol):
    """Has nothing to send about presence."""

    name = "silent"

    def encode_presence(self, room, event, info):
        return ""


async def test_a_protocol_without_presence_gets_no_frame_about_it(room):
    told, silent = FakeSession(), FakeSession(protocol=SilentProtocol())
    for session in (told, silent):
        room.add(session, watches=True)
    info = msgspec.json.encode(ClientInfo(user="1", client="c"))
    room.notify_watchers([info, info], [])
    assert (told.lines, silent.frames) == ([2], [])


async def test_a_batch_with_exclusions_is_encoded_once_for_all_others(room, monkeypatch):
    encoded = []
    original = CentrifugeProtocol.encode_publication

    def encode(self, name, publication):
        encoded.append(publication.offset)
        return original(self, name, publication)

    monkeypatch.setattr(CentrifugeProtocol, "encode_publication", encode)
    members = [FakeSession() for _ in range(5)]
    for number, member in enumerate(members):
        member.id, member.user_id = f"client-{number}", "1"
        room.add(member, watches=False)
    body = publication_body(b"1", None)
    room.deliver(Publication(1, body))
    room.deliver(Publication(2, with_exclusions(body, ["client-0", "client-1"])))
    room.deliver(Publication(3, with_exclusions(body, "client-1")))
    for member in members:
        await member.until(1)
    assert [member.lines for member in members] == [[2], [1], [3], [3], [3]]
    assert sorted(encoded) == [1, 1, 1, 2, 3, 3]

"""A client that polls over HTTP: a request brings what it has to say, or takes what waits for it.

To its session it is one more sink. Every message can be written at once: it is kept until the
client asks. How much is kept is limited as for every other client, by what it has confirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..conf import realtime_settings
from ..connection.inbox import Inbox
from ..connection.outbox import Outbox
from ..connection.ports import Sink
from ..protocols.engineio import CLOSE, NOOP, decode_payload, encode_payload
from ..protocols.frames import Frame, Message, messages_of, size_of

NUDGE_SECONDS = 0.1
"""A client that changes to a WebSocket waits for the end of its poll."""


class PollingSink:
    """What the outbox of a polling client writes to."""

    __slots__ = ("_bytes", "_is_last", "_on_last", "_packets", "_poll", "_scheduled")

    def __init__(self, on_last: Callable[[], None]) -> None:
        """`on_last` is called when the client has been told that the session has ended."""
        self._on_last = on_last
        self._packets: list[Message] = []
        self._bytes = 0
        self._is_last = False
        self._poll: asyncio.Future[str] | None = None
        self._scheduled: asyncio.Handle | None = None

    @property
    def is_polled(self) -> bool:
        return self._poll is not None

    @property
    def is_closing(self) -> bool:
        return self._is_last

    def write_frame(self, frame: Frame) -> bool:
        self._packets += messages_of(frame)
        self._bytes += size_of(frame)
        self._answer_soon()
        return True

    def write_close(self, code: int, reason: str) -> bool:
        """End with the answer after the one that takes what waits. The protocol has said why, if
        its clients can know; in one answer with the end, stock clients would not hear of it."""
        self._is_last = True
        self._answer_soon()
        return True

    def held_bytes(self) -> int:
        return self._bytes

    async def send(self, message: dict[str, Any], /) -> None:
        raise NotImplementedError("everything can be written at once")

    def poll(self) -> asyncio.Future[str]:
        """Take what waits, as soon as something does. There is one poll at a time."""
        poll = self._poll = asyncio.get_running_loop().create_future()
        if self._packets or self._is_last:
            self._answer()
        return poll

    def nudge(self) -> None:
        """Let a poll that waits come to its end."""
        if self._poll is not None and self._scheduled is None:
            self.write_frame(NOOP)

    def take(self) -> tuple[Message, ...]:
        """Take what waits, without a poll."""
        packets, self._packets, self._bytes = self._packets, [], 0
        return tuple(packets)

    def _answer_soon(self) -> None:
        if self._poll is not None and self._scheduled is None:
            # What is written in the same tick leaves together.
            self._scheduled = asyncio.get_running_loop().call_soon(self._answer)

    def _answer(self) -> None:
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        poll, self._poll = self._poll, None
        if poll is None or poll.done():
            return
        packets = self.take()
        poll.set_result(encode_payload(packets or (CLOSE,)))
        if not packets:
            self._on_last()

    def end(self, last: str) -> None:
        """Answer a poll that waits. Nothing is written any more."""
        if self._poll is not None:
            self._packets.append(last)
            self._answer()
        self._packets, self._bytes = [], 0


class OverlapError(Exception):
    """Two requests of the same kind at the same time. Their order is not known."""


class PollingSession:
    """An Engine.IO session that began with polling. `upgrade` lets it go on over a WebSocket.

    `credential` is a digest of what came with the first request: those that follow bring the same.
    """

    def __init__(self, sid: str, credential: str) -> None:
        self.sid = sid
        self.credential = credential
        self.on_end: Callable[[], None] = _nothing
        """Called when the session has ended, maybe more than once."""
        self.on_probe_end: Callable[[], None] | None = None
        """Ends the WebSocket that the client is trying."""
        self.is_upgraded = False
        self.has_ended = False
        self.sink = PollingSink(self.end)
        self._outbox: Outbox | None = None
        self._inbox: Inbox | None = None
        self._user_id: Callable[[], str] = str
        self._is_taking = False
        self._room: asyncio.Future[None] | None = None
        self._cut: asyncio.TimerHandle | None = None
        self._nudging: asyncio.TimerHandle | None = None

    def listen(self, outbox: Outbox, inbox: Inbox, user_id: Callable[[], str]) -> None:
        """Hand packets to `inbox` from now on. `user_id` tells whose session it is."""
        self._outbox, self._inbox, self._user_id = outbox, inbox, user_id
        outbox.on_close = self._expect_end

    @property
    def user_id(self) -> str:
        return self._user_id()

    @property
    def is_polling(self) -> bool:
        return not self.is_upgraded and not self.has_ended

    @property
    def is_probed(self) -> bool:
        """Return whether the client is trying a WebSocket."""
        return self.on_probe_end is not None

    # Requests

    async def poll(self) -> str:
        """Wait for something to send. Raises `OverlapError`. If it is cancelled, the session ends:
        what was on its way may be lost."""
        if self.sink.is_polled:
            self.end()
            raise OverlapError
        try:
            return await self.sink.poll()
        except asyncio.CancelledError:
            self.end()
            raise

    async def take(self, payload: str) -> None:
        """Take the packets of a payload. Raises `OverlapError`, and `PayloadError`; the session has
        ended then."""
        if self._is_taking:
            self.end()
            raise OverlapError
        self._is_taking = True
        try:
            for packet in decode_payload(payload):
                if packet == CLOSE:
                    self.end(NOOP)
                if not self.is_polling or self._inbox is None:
                    return
                self._inbox.receive(packet)
                while self._inbox.is_full and self.is_polling:
                    await self._until_room(self._inbox)
        except BaseException:
            self.end()
            raise
        finally:
            self._is_taking = False

    async def _until_room(self, inbox: Inbox) -> None:
        self._room = asyncio.get_running_loop().create_future()
        inbox.on_room = self._wake
        await self._room

    def _wake(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # The end

    def end(self, last: str = CLOSE) -> None:
        """The session is over. A poll that waits is answered with `last`."""
        if self.has_ended:
            return
        self.ended(last)
        if self._inbox is not None:
            self._inbox.end()

    def ended(self, last: str = CLOSE) -> None:
        """The inbox has ended, or is about to: leave nothing behind."""
        if self.has_ended:
            return
        self.has_ended = True
        self.stop_nudging()
        if self._cut is not None:
            self._cut.cancel()
        self.sink.end(last)
        self._wake()
        if self.on_probe_end is not None:
            self.on_probe_end()
        self.on_end()

    def _expect_end(self) -> None:
        """The session closes. A client that is gone does not ask for the last packets."""
        seconds = realtime_settings.CLOSE_SECONDS
        self._cut = asyncio.get_running_loop().call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self._inbox is not None:
            self._inbox.give_up()
        self.end()

    # The change to a WebSocket

    def start_nudging(self) -> None:
        """Let polls end soon. The client waits for that before it changes."""
        self.stop_nudging()
        self.sink.nudge()
        loop = asyncio.get_running_loop()
        self._nudging = loop.call_later(NUDGE_SECONDS, self.start_nudging)

    def stop_nudging(self) -> None:
        if self._nudging is not None:
            self._nudging.cancel()
            self._nudging = None

    def upgrade(self, sink: Sink, on_close: Callable[[], None]) -> Inbox | None:
        """Go on over a WebSocket: what waits is written there first. Return what takes the messages
        of the client from now on; None if the session is closing or has ended."""
        self.stop_nudging()
        if not self.is_polling or self.sink.is_closing:
            return None
        if self._inbox is None or self._outbox is None:
            return None
        self.is_upgraded = True
        self.on_probe_end = None
        unsent = self.sink.take()
        self.sink.end(NOOP)
        self._outbox.on_close = on_close
        self._outbox.move_to(sink, unsent)
        self._wake()
        return self._inbox

    async def wait_until_over(self) -> None:
        if self._outbox is not None:
            await self._outbox.wait_until_over()


def _nothing() -> None:
    pass

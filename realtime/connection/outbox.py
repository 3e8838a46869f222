"""Outbox: what a connection still has to send, with flow control."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from ..codes import CloseCode, fitting
from ..concurrency import eager, tasks
from ..conf import realtime_settings
from ..protocols.base import WireProtocol
from ..protocols.frames import Frame, Message, join, size_of
from .ports import Sink
from .send_window import SendWindow

logger = logging.getLogger("realtime.outbox")

POLL_SECONDS = 0.005
FRAME_BYTES = 65_536
"""Messages that wait are joined to frames of about this size."""


class Outbox:
    """Writing never waits, and makes no task while the server accepts what it is given.

    Not every server reports whether the client reads: Daphne accepts everything and keeps it in
    memory. So the bytes in flight are counted. Pings among the messages are marks: the client's
    answer acknowledges all bytes before it. If the send window is full, messages wait here, and if
    Daphne's transport holds as much: a client can answer pings that it has not read.
    `OUTBOX_MAX_BYTES` limits what waits, and what a large message has put into flight beyond the
    window: a client that stops reading is disconnected.
    """

    # Most connections are idle most of the time, and a process has many of them: what they rarely
    # need is made when they need it.
    __slots__ = (
        "_along",
        "_close",
        "_frames",
        "_has_overflown",
        "_is_over",
        "_limit",
        "_ping_bytes",
        "_poll",
        "_protocol",
        "_quiet_until",
        "_sending",
        "_sink",
        "_waiting_bytes",
        "_window",
        "_write_frame",
        "on_close",
        "on_overflow",
    )

    def __init__(self, sink: Sink, protocol: WireProtocol) -> None:
        self.on_overflow: Callable[[], None] = _nothing
        self.on_close: Callable[[], None] = _nothing
        self._sink = sink
        self._write_frame = sink.write_frame
        self._limit: int = realtime_settings.OUTBOX_MAX_BYTES
        self._protocol = protocol
        self._ping_bytes = len(protocol.ping)
        self._along: Frame = ""
        self._frames: deque[Frame] | None = None
        self._waiting_bytes = 0
        self._has_overflown = False
        self._window = SendWindow(self._limit // 4)
        self._close: tuple[CloseCode, str] | None = None
        self._is_over = False
        self._quiet_until = -1
        """Frames may be written without a check until so many bytes are sent; -1 means never."""
        self._sending: asyncio.Task[None] | None = None
        self._poll: asyncio.TimerHandle | None = None

    @property
    def is_congested(self) -> bool:
        return self._unread_bytes > self._limit // 2

    @property
    def unsent_bytes(self) -> int:
        """The bytes that wait here, and those that Daphne holds, which accepts everything."""
        return self._waiting_bytes + self._sink.held_bytes()

    def write(self, frame: Frame) -> None:
        if self._along and frame and frame != self._protocol.ping:
            frame, self._along = join((self._along, frame), self._protocol.separator), ""
        # Nearly always a text of ASCII, or bytes: no call for its size.
        is_sized = (frame.__class__ is str and frame.isascii()) or frame.__class__ is bytes
        size = len(frame) if is_sized else size_of(frame)
        sent_bytes = self._window.sent_bytes + size
        if sent_bytes < self._quiet_until and size > self._ping_bytes and self._write_frame(frame):
            self._window.sent_bytes = sent_bytes
            return
        # An empty frame is not longer than a ping, so it comes here from every protocol.
        if self._is_over or not frame:
            return
        nothing_waits = not self._frames and self._sending is None and self._close is None
        if nothing_waits and self._window_is_open():
            self._transmit(self._counted(frame, size, frame == self._protocol.ping))
        else:
            self._queue(frame)
        self._look_ahead()

    def write_along(self, frame: Frame) -> None:
        if self._is_over or not frame:
            return
        along = (self._along, frame) if self._along else (frame,)
        self._along = join(along, self._protocol.separator)

    def flush(self) -> None:
        if self._along:
            frame, self._along = self._along, ""
            self.write(frame)

    def _look_ahead(self) -> None:
        """Compute until when frames may be written without a check: nothing waits, no ping is due,
        the window is open."""
        if self._is_over or self._frames or self._sending or self._close:
            self._quiet_until = -1
        elif self._protocol.has_pings:
            self._quiet_until = self._window.quiet_until
        else:
            self._quiet_until = sys.maxsize  # `write_frame` refuses if the client does not read

    def _queue(self, frame: Frame) -> None:
        if self._frames is None:
            self._frames = deque()
        self._frames.append(frame)
        self._waiting_bytes += size_of(frame)
        if self._sending is None:
            self._go_on()
        if self._unread_bytes > self._limit and not self._has_overflown:
            self._has_overflown = True  # the message about it must not overflow again
            self.on_overflow()

    def acknowledge(self) -> bool:
        if not self._window.acknowledge():
            return False
        if self._frames and self._sending is None:
            self._go_on()
        self._look_ahead()
        return True

    def close(self, code: CloseCode, reason: str, last: Frame = "") -> None:
        self.flush()
        if code is CloseCode.SLOW:
            # The client does not read it. When it is back, it asks for what it has not got.
            self._frames, self._waiting_bytes = None, 0
        if last:
            self.write(last)
        self._close = (code, reason)
        self._quiet_until = -1
        self.on_close()
        if self._sending is None:
            self._go_on()

    def end(self) -> None:
        """The connection has ended: nothing is sent any more."""
        self._is_over = True
        self._quiet_until = -1
        self._frames = None
        if self._poll is not None:
            self._poll.cancel()
        if self._sending is not None:
            self._sending.cancel()

    async def wait_until_over(self) -> None:
        """Wait, after the end, until the server has returned from `send`."""
        await tasks.cancel(self._sending)

    def move_to(self, sink: Sink, unsent: Frame) -> None:
        """Go on with another sink. `unsent` is what the old one was given and has not sent."""
        self._sink = sink
        self._write_frame = sink.write_frame
        if unsent and not self._is_over:
            self._transmit(unsent)
        self._look_ahead()

    def _go_on(self) -> None:
        """Send what waits, until the window is full or the server has to wait for the client."""
        while self._frames and not self._is_over:
            if self._close is None and not self._window_is_open():
                if self._poll is None and (self._window.is_open or not self._protocol.has_pings):
                    # No pong will report that the client has read.
                    loop = asyncio.get_running_loop()
                    self._poll = loop.call_later(POLL_SECONDS, self._look_again)
                return
            if not self._transmit(self._next(self._frames)):
                return
        if self._close is not None and not self._is_over:
            self._is_over = True
            # A plain int: Daphne's WebSocket library takes no subclass.
            code, reason = int(self._close[0]), fitting(self._close[1])
            if not self._sink.write_close(code, reason):
                self._sending = asyncio.create_task(self._send_close(code, reason))

    def _transmit(self, frame: Frame) -> bool:
        """Return whether it was sent, and the next one may follow."""
        return self._write_frame(frame) or self._has_sent(frame)

    def _look_again(self) -> None:
        self._poll = None
        if self._sending is None:
            self._go_on()

    def _has_sent(self, frame: Frame) -> bool:
        """Call the server's `send`. Return False if it has to wait: then a task does the rest."""
        try:
            if isinstance(frame, tuple):
                rest = eager.start(self._send_all(frame))
            else:
                rest = eager.start(self._sink.send(_event(frame)))
        except Exception as error:
            self._give_up(error)
            return False
        if rest is None:
            return True
        self._quiet_until = -1
        self._sending = asyncio.create_task(self._finish(rest))
        return False

    async def _send_all(self, messages: tuple[Message, ...]) -> None:
        for message in messages:
            await self._sink.send(_event(message))

    async def _send_close(self, code: int, reason: str) -> None:
        """Send the close in a task of its own, unlike texts. Servers limit the time that they wait
        for the client's answer, and a time limit belongs to the task that sets it."""
        try:
            await self._sink.send({"type": "websocket.close", "code": code, "reason": reason})
        except Exception as error:
            self._give_up(error)
        finally:
            self._sending = None

    async def _finish(self, rest: Awaitable[None]) -> None:
        try:
            await rest
        except Exception as error:
            self._give_up(error)
        finally:
            self._sending = None
        self._go_on()
        self._look_ahead()

    def _give_up(self, error: Exception) -> None:
        # The client has disconnected; the receive loop notices that by itself.
        logger.debug("a connection could not be written to: %s", type(error).__name__)
        self._is_over = True
        self._quiet_until = -1
        self._frames = None
        self._waiting_bytes = 0

    def _window_is_open(self) -> bool:
        if self._protocol.has_pings and not self._window.is_open:
            return False
        return self._sink.held_bytes() < self._window.size

    @property
    def _unread_bytes(self) -> int:
        return self._waiting_bytes + self._window.excess_bytes

    def _next(self, frames: deque[Frame]) -> Frame:
        """The next frame: as many messages as may go together."""
        frame = frames.popleft()
        size = size_of(frame)
        if not frames:
            self._waiting_bytes -= size
            return self._counted(frame, size, frame == self._protocol.ping)
        joined = [frame]
        while frames and size < FRAME_BYTES:
            joined.append(frames.popleft())
            size += size_of(joined[-1])
        self._waiting_bytes -= size
        return self._counted(
            join(joined, self._protocol.separator), size, joined.count(self._protocol.ping)
        )

    def _counted(self, frame: Frame, size: int, pings: int) -> Frame:
        """The frame, with a ping at its end if the client should acknowledge what it has read."""
        if not self._protocol.has_pings:
            return frame
        is_due = self._window.count(size, pings)
        return join((frame, self._protocol.ping), self._protocol.separator) if is_due else frame


def _nothing() -> None: ...


def _event(message: Message) -> dict[str, Any]:
    kind = "text" if isinstance(message, str) else "bytes"
    return {"type": "websocket.send", kind: message}

"""What a connection still has to send, and how much of it may be under way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from .conf import realtime_settings
from .protocols.centrifuge import PING
from .protocols.codes import CloseCode
from .protocols.messages import WireProtocol

POLL_SECONDS = 0.05
FRAME_BYTES = 65_536
"""Messages that wait are joined to frames of about this size."""
REASON_MAX_BYTES = 123
"""What a close frame can hold (RFC 6455, 5.5); with more, a server sends none and cuts."""


class Outbox:
    """Writing never waits; one task empties it.

    Not every server tells whether the client reads: Daphne takes everything at once and keeps it in
    memory. So what is under way is counted. Pings among the messages mark how far the client has
    come when it answers, and beyond a window nothing more is sent until it does. A protocol without
    pings goes by what Daphne's transport still holds. What then gathers here is limited by
    `OUTBOX_MAX_BYTES`.
    """

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]], protocol: WireProtocol):
        self.on_overflow: Callable[[], None] = lambda: None
        self.on_close: Callable[[], None] = lambda: None
        self._send = send
        self._separator = protocol.separator
        self._has_pings = protocol.has_pings
        self._frames: deque[str] = deque()
        self._waiting_bytes = 0
        self._has_overflown = False
        self._sent_bytes = 0
        self._read_bytes = 0
        self._marks: deque[int] = deque()
        self._close: tuple[CloseCode, str] | None = None
        self._wake = asyncio.Event()

    @property
    def is_congested(self) -> bool:
        limit: int = realtime_settings.OUTBOX_MAX_BYTES
        return self._waiting_bytes > limit // 2

    @property
    def unsent_bytes(self) -> int:
        """What waits here, and what Daphne holds, which takes everything at once."""
        return self._waiting_bytes + _kept_by_daphne(self._send)

    def write(self, frame: str) -> None:
        self._frames.append(frame)
        self._waiting_bytes += _size(frame)
        self._wake.set()
        if self._waiting_bytes > realtime_settings.OUTBOX_MAX_BYTES and not self._has_overflown:
            self._has_overflown = True  # what is written about it must not be told as another one
            self.on_overflow()

    def acknowledge(self) -> None:
        if self._marks:
            self._read_bytes = self._marks.popleft()
            self._wake.set()

    def close(self, code: CloseCode, reason: str) -> None:
        if code is CloseCode.SLOW:
            # All but the last, which says why.
            self._frames = deque(list(self._frames)[-1:])
        self._close = (code, reason)
        self._wake.set()
        self.on_close()

    async def drain(self) -> None:
        """Send until the connection is closed, by us or by the other side."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._frames and (self._close is not None or self._window_is_open()):
                await self._send({"type": "websocket.send", "text": self._next()})
            if self._frames and self._close is None and not self._has_pings:
                # No pong will tell when the client has read on.
                asyncio.get_running_loop().call_later(POLL_SECONDS, self._wake.set)
            if self._close is not None and not self._frames:
                code, reason = self._close
                # A plain int: Daphne's WebSocket library takes no subclass.
                close = {"type": "websocket.close", "code": int(code), "reason": _fitting(reason)}
                await self._send(close)
                return

    def _window_is_open(self) -> bool:
        return self._under_way() < _window()

    def _under_way(self) -> int:
        if self._has_pings:
            return self._sent_bytes - self._read_bytes
        return _kept_by_daphne(self._send)

    def _next(self) -> str:
        """The next frame: one message, or several where the protocol can join them."""
        frames = [self._frames.popleft()]
        size = _size(frames[0])
        while self._separator and self._frames and size < FRAME_BYTES:
            frames.append(self._frames.popleft())
            size += _size(frames[-1])
        self._waiting_bytes -= size
        self._sent_bytes += size
        if self._has_pings:
            self._mark(frames)
        return (self._separator or "").join(frames)

    def _mark(self, frames: list[str]) -> None:
        self._marks.extend([self._sent_bytes] * frames.count(PING))
        marked = self._marks[-1] if self._marks else self._read_bytes
        if self._sent_bytes - marked >= _window() // 2:
            frames.append(PING)
            self._marks.append(self._sent_bytes)


def _kept_by_daphne(send: Callable[..., Any]) -> int:
    """The bytes that Daphne holds for a client; 0 on servers whose `send` waits for the client.

    Twisted has no public way to ask. Where its names change, or `send` is wrapped, this is 0,
    and a client without pongs is bounded by Daphne's ping time-out only.
    """
    protocol = next(iter(getattr(send, "args", ())), None)
    transport = getattr(protocol, "transport", None)
    buffered = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    return buffered + int(getattr(transport, "_tempDataLen", 0))


def _window() -> int:
    limit: int = realtime_settings.OUTBOX_MAX_BYTES
    return limit // 4


def _size(frame: str) -> int:
    return len(frame) if frame.isascii() else len(frame.encode())


def _fitting(reason: str) -> str:
    return reason.encode(errors="replace")[:REASON_MAX_BYTES].decode(errors="ignore")

"""What the outbox of an event stream writes to: the response to one request."""

from __future__ import annotations

import asyncio
from typing import Any

from ..codes import CloseCode
from ..conf import realtime_settings
from ..connection.outbox import POLL_SECONDS
from ..protocols.frames import Frame
from ..protocols.sse import StreamPosition
from . import servers
from .asgi import Send
from .refusals import Refusal


class StreamSink:
    """What the outbox of a stream writes to. Until `begin`, it keeps what it is given, because a
    refusal is a response of another kind."""

    def __init__(self, send: Send, position: StreamPosition) -> None:
        self.on_end = _nothing
        self.refusal: Refusal | None = None
        """Why there is no stream."""
        self.has_begun = False
        self.has_ended = False
        self._send = send
        self._held_by_server = servers.sink_of(send).held_bytes
        self._position = position
        self._early: list[str] | None = []
        self._early_bytes = 0
        self._most_early = realtime_settings.OUTBOX_MAX_BYTES // 4  # as the window of the outbox
        self._ends_early = False

    def write_frame(self, frame: Frame) -> bool:
        if self._early is None or self._early_bytes >= self._most_early:
            return False
        self._early.append(str(frame))
        self._early_bytes += len(frame)
        return True

    def write_close(self, code: int, reason: str) -> bool:
        if self._early is None:
            return False
        self._ends_early = True
        if not self.has_begun:
            self.refuse(Refusal.of_close(CloseCode(code), reason))
        return True

    def held_bytes(self) -> int:
        return self._early_bytes + self._held_by_server()

    async def send(self, message: dict[str, Any], /) -> None:
        if message["type"] == "websocket.close":
            await self._end()
        else:
            await self._write(message["text"])

    def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal. The first one counts."""
        if self.refusal is None:
            self.refusal = refusal
            self.on_end()

    async def begin(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Begin the response, with what has been written so far."""
        self.has_begun = True
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        while self._early:
            early, self._early, self._early_bytes = self._early, [], 0
            await self._write("".join(early))
        self._early = None
        if self._ends_early:
            await self._end()

    async def _write(self, events: str) -> None:
        body = self._position.stamp(events).encode()
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def _end(self) -> None:
        # Daphne takes an end at once, and keeps what is before it for a client that does not read.
        while self._held_by_server():
            await asyncio.sleep(POLL_SECONDS)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        self.has_ended = True
        self.on_end()


def _nothing() -> None:
    pass

"""Reads from a client of Daphne in pieces, so that a flood of small frames leaves time for others.

Twisted hands up to 64 KiB to Autobahn at once. As frames of a few bytes those are thousands, which
take Autobahn half a second, and none of our limits is asked before the last one was parsed.
"""

from __future__ import annotations

import asyncio
from typing import Any

PIECE_BYTES = 2_048
LATE_MAX = 250
"""Frames that a client may have on the way when the connection is closed. Autobahn parses them."""
LATE_BYTES = 2_048
"""So many bytes of a frame count as one more."""


class PieceReader:
    """Stands before `dataReceived` of Daphne's WebSocket protocol."""

    __slots__ = ("_data", "_feed", "_is_held", "_is_paused", "_late", "_loop", "_protocol")

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._feed = protocol.dataReceived
        self._loop = asyncio.get_running_loop()
        self._data = b""
        self._late = 0
        self._is_paused = False
        """Whether the application wants to read nothing more."""
        self._is_held = False
        """Whether the transport is paused until the data that was read is parsed."""
        protocol.dataReceived = self.receive

    def receive(self, data: bytes) -> None:
        if not self._data and len(data) <= PIECE_BYTES and not self._is_paused:
            self._feed(data)
            return
        is_waiting = bool(self._data)
        self._data += data
        if not self._is_held:
            self._is_held = True
            self._protocol.transport.pauseProducing()
        if not is_waiting and not self._is_paused:
            self._next()

    def pause(self) -> None:
        self._is_paused = True
        if not self._is_held:
            self._protocol.transport.pauseProducing()

    def resume(self) -> None:
        self._is_paused = False
        if self._data:
            self._loop.call_soon(self._next)
        else:
            self._resume()

    def count_late(self, length: int) -> None:
        """Count a frame, if it has come after our close; a large one counts as several."""
        if self._protocol.state == self._protocol.STATE_CLOSING and self._late < LATE_MAX:
            self._late += 1 + length // LATE_BYTES
            if self._late >= LATE_MAX:
                self._data = b""
                self._protocol.transport.abortConnection()

    def _next(self) -> None:
        if self._is_paused or not self._data:
            return
        if self._late >= LATE_MAX or self._protocol.state == self._protocol.STATE_CLOSED:
            self._data = b""
            return
        piece, self._data = self._data[:PIECE_BYTES], self._data[PIECE_BYTES:]
        self._feed(piece)
        if self._is_paused:
            return
        if self._data:
            self._loop.call_soon(self._next)
        else:
            self._resume()

    def _resume(self) -> None:
        self._is_held = False
        transport = self._protocol.transport
        if not transport.disconnecting and not getattr(transport, "disconnected", False):
            transport.resumeProducing()

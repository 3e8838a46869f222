"""What stands in for a socket."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import msgspec

from ..codes import CloseCode
from ..protocols.frames import Frame


class Pipe:
    """What the session of a client writes to."""

    is_congested = False
    unsent_bytes = 0

    def __init__(self) -> None:
        self.frames: deque[dict[str, Any]] = deque()
        self.closed: tuple[int, str] | None = None
        self.has_news = asyncio.Event()

    def write(self, frame: Frame) -> None:
        if frame:
            assert isinstance(frame, str)  # of the native protocol
            self.frames += map(msgspec.json.decode, frame.split("\n"))
            self.has_news.set()

    write_along = write

    def flush(self) -> None:
        pass

    def acknowledge(self) -> bool:
        return True

    def close(self, code: CloseCode, reason: str, last: Frame = "") -> None:
        self.closed = (int(code), reason)
        self.has_news.set()

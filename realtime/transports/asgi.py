"""A connection as every ASGI server gives it: `send`, which waits if the server waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class ASGISink:
    """What an outbox writes to, on a server that we know nothing more of."""

    __slots__ = ("send",)

    def __init__(self, send: Send) -> None:
        self.send = send

    def write_text(self, text: str) -> bool:
        return False

    def held_bytes(self) -> int:
        return 0

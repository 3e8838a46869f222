"""Connections as ASGI servers give them to us."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from ..connection.inbox import Inbox
from ..connection.ports import Sink
from ..protocols.frames import Frame

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class TakenOver(Sink, Protocol):
    """A connection that the server has handed over, such as `transports.websocket.Socket`: it calls
    us with each message."""

    def listen(self, inbox: Inbox) -> None:
        """Give each message to `inbox` from now on."""
        ...

    def start_pings(self, on_silence: Callable[[], None]) -> None:
        """Ping the client from now on, for a protocol that has no pings. `on_silence` is called if
        no answer comes."""
        ...

    def expect_end(self, seconds: float) -> None:
        """The client was asked to close: cut the connection if it has not after some seconds."""
        ...

    def shutdown(self) -> None:
        """Close the connection, because nobody listens to it."""
        ...


class ASGISink:
    """What an outbox writes to, on a server of which we know nothing more."""

    __slots__ = ("send",)

    def __init__(self, send: Send) -> None:
        self.send = send

    def write_frame(self, frame: Frame) -> bool:
        return False

    def write_close(self, code: int, reason: str) -> bool:
        return False

    def held_bytes(self) -> int:
        return 0

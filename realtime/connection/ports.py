"""Interfaces of what a connection writes to: `Transport` of its session, `Sink` of its outbox; and
of what a session stops when it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from typing import Any, Protocol

from ..codes import CloseCode
from ..protocols.frames import Frame


class Transport(Protocol):
    """The output of a session, whatever the transport to the client is. No method waits."""

    @property
    def is_congested(self) -> bool:
        """Return whether so much is unsent that nothing large should be added."""
        ...

    @property
    def unsent_bytes(self) -> int: ...

    def write(self, frame: Frame) -> None:
        """Write a frame. An empty one is dropped: the protocol has nothing to send."""
        ...

    def write_along(self, frame: Frame) -> None:
        """Queue a frame: it is sent with the next `write` or at `flush`, whichever comes first."""
        ...

    def flush(self) -> None: ...
    def acknowledge(self) -> bool:
        """The client has read everything up to a ping that it answers now. Return whether there was
        a ping to answer."""
        ...

    def close(self, code: CloseCode, reason: str, last: Frame = "") -> None:
        """Close, after a `last` message."""
        ...


class Late(Protocol):
    """Rooms that a connection enters later."""

    @property
    def names(self) -> Collection[str]: ...
    def forget(self, name: str) -> None:
        """Do not enter this room any more."""
        ...

    def stop(self) -> None: ...


class Sink(Protocol):
    """The output of an outbox: an open connection of a server."""

    def write_frame(self, frame: Frame) -> bool:
        """Write a frame now. Return False if the server needs `send` for it."""
        ...

    def write_close(self, code: int, reason: str) -> bool:
        """Begin to close now. Return False if the server needs `send` for it, in a task."""
        ...

    def send(self, message: dict[str, Any], /) -> Awaitable[None]:
        """Send an event of ASGI, and wait if the server waits for the client."""
        ...

    def held_bytes(self) -> int:
        """The bytes that the server holds for a client that does not read them; 0 if `send` waits
        for the client."""
        ...

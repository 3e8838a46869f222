"""What a connection is given: where its session writes to, and where its outbox does."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

from ..codes import CloseCode


class Transport(Protocol):
    """What a session writes to, whatever brings it to the client. No method waits."""

    @property
    def is_congested(self) -> bool:
        """Return whether so much is unsent that nothing large should be added."""
        ...

    @property
    def unsent_bytes(self) -> int: ...

    def write(self, frame: str) -> None: ...
    def write_along(self, frame: str) -> None:
        """Write it in one piece with the next frame, or with `flush`, whichever comes first."""
        ...

    def flush(self) -> None: ...
    def acknowledge(self) -> None:
        """The client has read everything up to a ping that it answers now."""
        ...

    def close(self, code: CloseCode, reason: str) -> None: ...


class Sink(Protocol):
    """What an outbox writes to: an open connection of a server."""

    def write_text(self, text: str) -> bool:
        """Write a text now. Return False if the server needs `send` for it."""
        ...

    def send(self, message: dict[str, Any], /) -> Awaitable[None]:
        """Send an event of ASGI, and wait if the server waits for the client."""
        ...

    def held_bytes(self) -> int:
        """The bytes that the server holds for a client that does not read them; 0 if `send` waits
        for the client."""
        ...

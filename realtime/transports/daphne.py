"""What Daphne does differently, and has no public way to ask for or to change.

Everything here reaches for names inside of Daphne, Autobahn and Twisted. Where they change, where
`send` is wrapped, and on other servers, nothing is found, and Daphne's own ways hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def held_bytes(send: Callable[..., Any]) -> int:
    """The bytes that Daphne holds for a client that does not read them; 0 on servers whose `send`
    waits for the client."""
    transport = getattr(_protocol(send), "transport", None)
    buffered = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    return buffered + int(getattr(transport, "_tempDataLen", 0))


def give_time_to_close(send: Callable[..., Any], seconds: float) -> None:
    """Let a client that is told to go have so long to read that, or up to a second less.

    Autobahn gives it one second, and cuts at the full ones of the clock: what is closed just before
    is cut at once, now and then before the close frame has left. So it is two at least.
    """
    protocol = _protocol(send)
    if hasattr(protocol, "closeHandshakeTimeout"):
        protocol.closeHandshakeTimeout = max(seconds, 2)


def _protocol(send: Callable[..., Any]) -> Any:
    return next(iter(getattr(send, "args", ())), None)

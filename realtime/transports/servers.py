"""What each server gives us beyond ASGI, and what every other one gives."""

from __future__ import annotations

from typing import Any

from ..connection.ports import Sink
from . import daphne
from .asgi import ASGISink, Receive, Send
from .websocket import Socket


def sink_of(send: Send) -> Sink:
    """What an outbox writes to, for the `send` that the server has called us with."""
    server: Any = getattr(send, "__self__", None)
    if hasattr(server, "write_text"):
        sink: Sink = server  # `transports.uvicorn`
        return sink
    return daphne.sink_of(send) or ASGISink(send)


def take_over(receive: Receive, send: Send) -> Socket | None:
    """The connection itself, if the server gives it away: then nothing of what has called us has to
    wait for the client's next message. None if some middleware wants to see what is received or
    sent."""
    server: Any = getattr(send, "__self__", None)
    take = getattr(server, "take_over", None)
    if take is None or getattr(receive, "__self__", None) is not server:
        return None
    socket: Socket | None = take()
    return socket

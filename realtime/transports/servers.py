"""What each server gives us beyond ASGI."""

from __future__ import annotations

from typing import Any

from ..connection.ports import Sink
from . import daphne
from .asgi import ASGISink, Receive, Send, TakenOver


def sink_of(send: Send) -> Sink:
    """What an outbox writes to, for the `send` that the server has called us with."""
    server: Any = getattr(send, "__self__", None)
    if hasattr(server, "held_bytes"):  # other classes for uvicorn have a `write_frame`, too
        sink: Sink = server  # `transports.uvicorn`
        return sink
    return daphne.sink_of(send) or ASGISink(send)


def with_scheme(scope: dict[str, Any], send: Send) -> dict[str, Any]:
    """Return the scope with its scheme, if it has none and the server knows it all the same."""
    if scope.get("scheme") or (scheme := daphne.scheme_of(send)) is None:
        return scope
    return {**scope, "scheme": scheme}


def take_over(receive: Receive, send: Send) -> TakenOver | None:
    """Take the connection over if the server hands it over: then the coroutines that have called us
    need not wait for the client. None on other servers, and if a middleware wraps `receive` or
    `send`."""
    server: Any = getattr(send, "__self__", None)
    take = getattr(server, "take_over", None)
    if take is None or getattr(receive, "__self__", None) is not server:
        return None
    taken: TakenOver | None = take()
    return taken


def limit_request_heads(receive: Receive) -> None:
    """Let the server end requests that do not come to their end, if it has no limit for them and
    this is how it starts: `receive` is that of the lifespan protocol."""
    config: Any = getattr(getattr(receive, "__self__", None), "config", None)
    if hasattr(config, "http_protocol_class"):  # uvicorn
        from . import uvicorn_http  # needs a library that a site on Daphne does not install

        uvicorn_http.limit_heads(config)

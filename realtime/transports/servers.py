"""What each server gives us beyond ASGI."""

from __future__ import annotations

import socket
from socket import AF_INET, AF_INET6
from typing import Any

from ..connection.ports import Sink
from . import daphne, daphne_http, daphne_socket
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


def mask_access_log(send: Send) -> None:
    """Keep credentials in the URL of a request out of the log of a server that can't be told to."""
    daphne.mask_access_log(send)


def take_over(receive: Receive, send: Send) -> TakenOver | None:
    """Take the connection over if the server hands it over: then the coroutines that have called us
    need not wait for the client. None on other servers, and if a middleware wraps `receive` or
    `send`."""
    server: Any = getattr(send, "__self__", None)
    take = getattr(server, "take_over", None)
    if take is None:
        return daphne_socket.take_over(daphne.protocol_of(send), receive)
    if getattr(receive, "__self__", None) is not server:
        return None
    taken: TakenOver | None = take()
    return taken


def limit_silence(send: Send, seconds: float) -> None:
    """Let the connection of an HTTP response end if the client has not confirmed what was sent for
    so long: a host that is switched off says nothing. Where the system can't, nothing changes."""
    connection: Any = _transport_of(send)
    if hasattr(connection, "get_extra_info"):
        sock = connection.get_extra_info("socket")
    else:
        sock = connection.getHandle() if hasattr(connection, "getHandle") else None
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None and getattr(sock, "family", None) in (AF_INET, AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, option, max(1, int(seconds * 1000)))


def cut(send: Send) -> None:
    """Cut the connection of an HTTP response, with what is unsent. On servers that we don't know,
    they notice that the response is not complete."""
    connection: Any = _transport_of(send)
    abort = getattr(connection, "abort", None) or getattr(connection, "abortConnection", None)
    if abort is not None:
        abort()


def _transport_of(send: Send) -> Any:
    return daphne.transport_of(send) or getattr(getattr(send, "__self__", None), "transport", None)


def limit_request_heads(receive: Receive) -> None:
    """Let the server end requests that do not come to their end, if it has no limit for them and
    this is how it starts: `receive` is that of the lifespan protocol."""
    config: Any = getattr(getattr(receive, "__self__", None), "config", None)
    if hasattr(config, "http_protocol_class"):  # uvicorn
        from . import uvicorn_http  # needs libraries that a site on Daphne does not install

        uvicorn_http.limit_heads(config)


def prepare_daphne() -> None:
    """The same for Daphne, which has no lifespan protocol: at import, before it opens its port."""
    daphne_http.limit_heads()
    daphne.spare_formatting()

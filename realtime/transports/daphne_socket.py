"""Takes an accepted connection over from Daphne.

Daphne, Autobahn and Twisted are done with it then, and what they keep for it is given up. A
`Socket` reads and writes the frames, as with our class for uvicorn, on the loop that Twisted uses.

Nothing is taken over with TLS, if `send` or `receive` is wrapped, if Daphne has already read
something, or if a name of these libraries has changed. Then Daphne's own way holds.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from ..conf import realtime_settings
from .asgi import Receive
from .socket_transport import SocketTransport
from .websocket import Socket


def take_over(protocol: Any, receive: Receive) -> Socket | None:
    """Take over the connection of Daphne's `protocol`, which was just accepted: the application's
    coroutine may end. None if that is not possible; then nothing has changed."""
    try:
        if not _has_read_all(protocol, receive) or not _has_written_all(protocol.transport):
            return None
        end = _End(protocol)
        detach = _detaching(protocol)
    except AttributeError:
        return None
    transport = SocketTransport(detach())
    taken = Socket(
        transport, is_writable=True, max_size=realtime_settings.FRAME_MAX_BYTES, on_end=end
    )
    end.limit_age(taken)
    transport.set_protocol(taken)
    return taken


def _has_read_all(protocol: Any, receive: Receive) -> bool:
    """Return whether nothing that the client has sent is on its way to the application."""
    queue: Any = protocol.application_queue
    return (
        protocol.state == protocol.STATE_OPEN
        and queue.empty()
        and getattr(receive, "__self__", None) is queue
        and not protocol.data
        and protocol.current_frame is None
        and not protocol.inside_message
    )


def _has_written_all(transport: Any) -> bool:
    """Return whether the socket is one without TLS, and has taken the answer to the handshake,
    which Twisted would write in the next turn of the loop."""
    if not isinstance(transport.getHandle(), socket.socket) or transport.TLS:
        return False
    if hasattr(transport, "wrappedProtocol"):  # such as one for `-e haproxy:...`
        return False
    if not transport.connected or transport.disconnecting or transport.disconnected:
        return False
    transport.doWrite()
    return not transport.dataBuffer and not transport._tempDataLen


def _detaching(protocol: Any) -> Callable[[], socket.socket]:
    """Return what takes the socket from Daphne; all names are looked up before."""
    transport, closed = protocol.transport, protocol.STATE_CLOSED
    forget = protocol.server.protocol_disconnected
    steps = (transport.stopReading, transport.stopWriting, transport.unregisterProducer)

    # They and the HTTP connection refer to each other, and would wait for the garbage collector.
    requests = getattr(transport.producer, "requests", None)

    def detach() -> socket.socket:
        if isinstance(requests, list):
            requests.clear()
        for step in steps:
            step()
        # Whoever still calls them does nothing.
        transport.connected, transport.disconnected = 0, 1
        transport.protocol = None
        protocol.state = closed
        forget(protocol)
        connection: socket.socket = transport.getHandle()
        return connection

    return detach


class _End:
    """What has to be done when a connection has ended, and what ends one that is too old."""

    __slots__ = ("_client", "_path", "_seconds", "_server", "_timer")

    def __init__(self, protocol: Any) -> None:
        self._server = protocol.server
        self._path = protocol.request.path
        self._client = protocol.client_addr
        self._seconds = float(self._server.websocket_timeout)
        self._timer: asyncio.TimerHandle | None = None

    def limit_age(self, taken: Socket) -> None:
        """Daphne's option `--websocket_timeout`, which is a day by default."""
        if self._seconds >= 0:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, _close, taken)

    def __call__(self, taken: Socket) -> None:
        if self._timer is not None:
            self._timer.cancel()
        client = "{}:{}".format(*self._client) if self._client else None
        details = {"path": self._path, "client": client}
        self._server.log_action("websocket", "disconnected", details)


def _close(taken: Socket) -> None:
    taken.write_close(1000, "")
    taken.expect_end(realtime_settings.CLOSE_SECONDS)

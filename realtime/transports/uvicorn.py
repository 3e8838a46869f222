"""A WebSocket protocol for uvicorn, made for many small messages to many clients.

    uvicorn config.asgi:application --ws realtime.uvicorn:WebSocketProtocol

It is uvicorn's own `websockets-sansio` protocol with three shortcuts. A text for many clients
becomes a frame once, and is written without a coroutine. Reading is paused only while messages
wait, not after each of them, which would cost two system calls. And an application that has
accepted a connection may take it over: then the coroutines of the application and of all middleware
around it end, and a `Socket` calls the application with each message. A silent client costs no
task, no queue and no parser. An empty `Sec-WebSocket-Protocol` header is accepted, too.

Two more things differ. Compression is off. And handshakes that get no answer end: uvicorn knows no
limit for them.

Names inside of uvicorn are known here, and in `uvicorn_http.py`, which is about what comes before
a handshake.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ..conf import realtime_settings
from ..connection.inbox import MOST_UNREAD, MOST_UNREAD_CHARACTERS
from ..protocols.frames import Frame
from .frames import last_frame
from .request_heads import unauthenticated
from .websocket import Socket
from .websockets_library import (
    Request,
    accept_no_extensions,
    has_read_all,
    has_refused,
    is_open,
    is_plain,
    limit_messages,
)

if TYPE_CHECKING:
    from ..hub.limits import UnauthenticatedLimit

logger = logging.getLogger("realtime.uvicorn")

SUBPROTOCOLS = "Sec-WebSocket-Protocol"


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Give its path, or that of a subclass, to `uvicorn --ws`."""

    compression = False
    """Whether clients may compress messages, as all browsers offer to. If True in a subclass,
    `--ws-per-message-deflate` decides; a connection that compresses takes uvicorn's own way, which
    needs several times the memory and CPU time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.compression:
            accept_no_extensions(self.conn)
        limit_messages(self.conn, realtime_settings.FRAME_MAX_BYTES)
        self._handshake_limit: asyncio.TimerHandle | None = None
        self._counted: UnauthenticatedLimit | None = None
        """Where an unfinished handshake is counted."""

    # The handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._handshake_limit = self.loop.call_later(
            realtime_settings.CONNECT_SECONDS, self._cut_handshake
        )

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated:
            self._look_at_handshake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_handshake()
        super().connection_lost(exc)

    def _look_at_handshake(self) -> None:
        """The application has not been called: the request is not complete, or was refused."""
        if has_refused(self.conn):
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
        elif self._counted is None:
            self._counted = unauthenticated()
            if not self._counted.enter(self._address):
                logger.info("an address has too many unfinished handshakes")
                self.transport.abort()

    def _cut_handshake(self) -> None:
        logger.info("a handshake was not finished in time; its connection is cut")
        self.transport.abort()

    def _end_handshake(self) -> None:
        """The handshake is finished, or its connection is lost."""
        if self._handshake_limit is not None:
            self._handshake_limit.cancel()
            self._handshake_limit = None
        if self._counted is not None:
            self._counted.leave(self._address)
            self._counted = None

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    # What the application calls

    def write_frame(self, frame: Frame) -> bool:
        """Send `frame` now. Return False if `send` has to be used, which waits for a slow client
        and raises for a closed connection."""
        if (
            self.close_sent
            or not self.handshake_complete
            or not self.writable.is_set()
            or not is_open(self.conn)
            or not is_plain(self.conn)
            or self.transport.is_closing()
        ):
            return False
        self.transport.write(last_frame.of(frame))
        return True

    def write_close(self, code: int, reason: str) -> bool:
        """False: uvicorn has more to do for a close than to write it."""
        return False

    def held_bytes(self) -> int:
        """0: `send` waits for the client."""
        return 0

    def take_over(self) -> Socket | None:
        """Take over a connection that was just accepted: the application's coroutine may end. None
        if that is not possible, and the application has to go on with `receive` and `send`."""
        if not self.handshake_complete or self.close_sent or not is_plain(self.conn):
            return None
        if not self.queue.empty() or not has_read_all(self.conn) or self.transport.is_closing():
            return None
        socket = Socket(
            self.transport,
            is_writable=self.writable.is_set(),
            max_size=min(self.config.ws_max_size, realtime_settings.FRAME_MAX_BYTES),
            on_end=self.connections.discard,
        )
        self.stop_keepalive()
        self.connections.discard(self)
        self.connections.add(socket)  # type: ignore[arg-type]
        self.transport.set_protocol(socket)
        self.transport = _Taken()
        return socket

    # What uvicorn calls

    def handle_connect(self, event: Request) -> None:
        # The Python SDK below 0.7 offers no subprotocol, and sends the header all the same. That
        # breaks RFC 6455, and would be answered with 400. Other servers accept it.
        if event.headers.get_all(SUBPROTOCOLS) == [""]:
            del event.headers[SUBPROTOCOLS]
        super().handle_connect(event)

    def send_receive_event_to_app(self) -> None:
        was_paused, self.read_paused = self.read_paused, True  # so that it does not pause
        size = sum(map(len, self.frames))
        try:
            super().send_receive_event_to_app()
        finally:
            self.read_paused = was_paused
        is_full = self.queue.qsize() >= MOST_UNREAD or size >= MOST_UNREAD_CHARACTERS
        if not was_paused and is_full:
            self.read_paused = True
            self.transport.pause_reading()

    async def send(self, message: Any) -> None:
        text = message.get("text") if message["type"] == "websocket.send" else None
        if text is not None and self.write_frame(text):
            return
        await super().send(message)
        if message["type"] == "websocket.accept":
            self._end_handshake()
            # Headers that were read and answered take kilobytes a connection.
            del self.request, self.response


class _Taken(asyncio.Transport):
    """Stands in for a transport that was taken over: uvicorn closes its transport when the
    application ends."""

    def is_closing(self) -> bool:
        return True

    def close(self) -> None:
        pass

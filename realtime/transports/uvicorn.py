"""A WebSocket protocol for uvicorn that is made for many small messages to many clients.

    uvicorn config.asgi:application --ws realtime.uvicorn:WebSocketProtocol

It is uvicorn's own `websockets-sansio` one, with three short cuts. A text that goes to many clients
is made a frame once, and written without a coroutine. Reading is paused only when messages wait,
not after each of them, which costs two system calls. And an application that has accepted a
connection may take it over: then the coroutine of the application ends, as do those of all
middleware around it, and a `Socket` calls the application with what comes. A client that is silent
costs no task, no queue and no parser.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN

from ..connection.inbox import MOST_UNREAD
from .frames import last_frame
from .websocket import Socket


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Without per-message compression; where that is switched on, uvicorn's own way is taken."""

    def write_text(self, text: str) -> bool:
        """Send `text` now. False where it has to be sent in the other way: by `send`, which waits
        for a slow client, and raises for one that has gone."""
        if (
            self.close_sent
            or not self.handshake_complete
            or not self.writable.is_set()
            or self.conn.state is not OPEN
            or self.conn.extensions
            or self.transport.is_closing()
        ):
            return False
        self.transport.write(last_frame.of(text))
        return True

    def held_bytes(self) -> int:
        """0: `send` waits for the client."""
        return 0

    def take_over(self) -> Socket | None:
        """What carries on the connection that was just accepted; the application's coroutine may
        end. None where that can't be, and the application has to go on as ever."""
        if not self.handshake_complete or self.close_sent or self.conn.extensions:
            return None
        if not self.queue.empty() or self.conn.reader.buffer or self.transport.is_closing():
            return None
        socket = Socket(
            self.transport,
            is_writable=self.writable.is_set(),
            max_size=self.config.ws_max_size,
            on_end=self.connections.discard,
        )
        self.stop_keepalive()
        self.connections.discard(self)
        self.connections.add(socket)  # type: ignore[arg-type]
        self.transport.set_protocol(socket)
        self.transport = _Taken()
        return socket

    def send_receive_event_to_app(self) -> None:
        was_paused, self.read_paused = self.read_paused, True  # so that it does not pause
        try:
            super().send_receive_event_to_app()
        finally:
            self.read_paused = was_paused
        if not was_paused and self.queue.qsize() >= MOST_UNREAD:
            self.read_paused = True
            self.transport.pause_reading()

    async def send(self, message: Any) -> None:
        text = message.get("text") if message["type"] == "websocket.send" else None
        if text is not None and self.write_text(text):
            return
        await super().send(message)
        if message["type"] == "websocket.accept":
            # Headers that were read and answered, of no use any more: kilobytes a connection.
            del self.request, self.response


class _Taken(asyncio.Transport):
    """In the place of a transport that somebody else has now: uvicorn closes what it has when the
    application has ended."""

    def is_closing(self) -> bool:
        return True

    def close(self) -> None:
        pass

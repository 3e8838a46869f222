"""A WebSocket protocol for uvicorn that is made for many small messages to many clients.

    uvicorn config.asgi:application --ws realtime.uvicorn:WebSocketProtocol

It is uvicorn's own `websockets-sansio` one, with three short cuts. A text that goes to many clients
is made a frame once, and written without a coroutine. Reading is paused only when messages wait,
not after each of them, which costs two system calls. The handshake is forgotten once it is done.
"""

from __future__ import annotations

from typing import Any, ClassVar

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN

MOST_UNREAD = 16
"""Messages of a client that may wait for the application before no more are read."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Without per-message compression; where that is switched on, uvicorn's own way is taken."""

    _text: ClassVar[str | None] = None
    _frame: ClassVar[bytes] = b""

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
        if text is not WebSocketProtocol._text:
            # The same object, as it is when one message goes to many: then the frame is the same.
            WebSocketProtocol._frame = _text_frame(text.encode())
            WebSocketProtocol._text = text
        self.transport.write(WebSocketProtocol._frame)
        return True

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


def _text_frame(payload: bytes) -> bytes:
    """A whole text message from a server (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload

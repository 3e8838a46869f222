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
import logging
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from .inbox import MOST_UNREAD, Inbox
from .protocols.frames import end_of_frame, text_frame, text_of_frame


class _Frames:
    """The frame that was made last: when one message goes to many, it is the same for all."""

    text = ""
    frame = text_frame(b"")

    def of(self, text: str) -> bytes:
        # The same object, not an equal one: a comparison of long texts takes its time.
        if text is not self.text:
            self.frame = text_frame(text.encode())
            self.text = text
        return self.frame


_frames = _Frames()


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
        self.transport.write(_frames.of(text))
        return True

    def take_over(self) -> Socket | None:
        """What carries on the connection that was just accepted; the application's coroutine may
        end. None where that can't be, and the application has to go on as ever."""
        if not self.handshake_complete or self.close_sent or self.conn.extensions:
            return None
        if not self.queue.empty() or self.conn.reader.buffer or self.transport.is_closing():
            return None
        socket = Socket(self)
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


class Socket(asyncio.Protocol):
    """An open connection, from the end of its handshake on. It hands what comes to an `Inbox`.

    Plain texts are read and written here. Whatever else a client sends goes to a parser of
    `websockets`, which is there as long as it is needed.
    """

    __slots__ = (
        "_connections",
        "_cut",
        "_inbox",
        "_is_open",
        "_is_reading",
        "_is_writable",
        "_keeps_parser",
        "_max_size",
        "_parser",
        "_parts",
        "_resumed",
        "_transport",
        "_unread",
    )

    def __init__(self, accepted: WebSocketProtocol) -> None:
        self._transport: Any = accepted.transport
        self._connections = accepted.connections
        self._max_size = accepted.config.ws_max_size
        self._is_writable = accepted.writable.is_set()
        self._is_open = True
        self._is_reading = True
        self._resumed: asyncio.Future[None] | None = None
        self._inbox: Inbox | None = None
        self._unread = b""
        """The beginning of a frame."""
        self._parser: ServerProtocol | None = None
        self._keeps_parser = False
        self._parts: list[bytes] | None = None
        """Of a message in several frames."""
        self._cut: asyncio.TimerHandle | None = None

    # What the application calls

    def listen(self, inbox: Inbox) -> None:
        self._inbox = inbox
        inbox.on_room = self._read_on

    def write_text(self, text: str) -> bool:
        """Send `text` now. False where `send` has to be used, which waits for a slow client, and
        raises for one that has gone."""
        if not self._is_writable or not self._is_open:
            return False
        self._transport.write(_frames.frame if text is _frames.text else _frames.of(text))
        return True

    async def send(self, message: dict[str, Any]) -> None:
        """As an application of ASGI sends: `websocket.send` of a text, and `websocket.close`."""
        while not self._is_writable:
            if self._resumed is None:
                self._resumed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._resumed)
        if not self._is_open:
            raise ClientDisconnected
        if message["type"] == "websocket.close":
            self._close(message["code"], message["reason"])
        else:
            self._transport.write(_frames.of(message["text"]))

    def expect_end(self, seconds: float) -> None:
        """The client is told to go: cut the connection where it has not in so many seconds."""
        if self._cut is None:
            self._cut = asyncio.get_running_loop().call_later(seconds, self._abort)

    def _close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake."""
        parser = self._parse_from_here()
        parser.send_close(code, reason)
        self._flush(parser)
        self._read_on()

    def _abort(self) -> None:
        if self._inbox is not None:
            self._inbox.give_up()
        self._is_open = False
        self._transport.abort()

    # What uvicorn calls

    def shutdown(self) -> None:
        """The server goes."""
        if self._is_open:
            self._close(CloseCode.SERVICE_RESTART)
        self._transport.close()

    # What the event loop calls

    def data_received(self, data: bytes) -> None:
        if self._keeps_parser:
            self._parse(data)
            return
        if self._unread:
            data, self._unread = self._unread + data, b""
        begin, size = 0, len(data)
        while begin < size and not self._keeps_parser:
            end = end_of_frame(data, begin)
            if end is None:
                # Nobody knows where it will end: the parser has to read all that follows.
                self._keeps_parser = True
                self._parse(data[begin:])
                return
            if end > size:
                self._unread = data[begin:]
                return
            text = None
            if self._parser is None and end - begin <= self._max_size:
                text = text_of_frame(data, begin, end)
            if text is None:
                self._parse(data[begin:end])
            else:
                self._hand_in(text)
            begin = end
        if begin < size:
            self._parse(data[begin:])

    def pause_writing(self) -> None:
        self._is_writable = False

    def resume_writing(self) -> None:
        self._is_writable = True
        if self._resumed is not None:
            self._resumed.set_result(None)
            self._resumed = None

    def connection_lost(self, error: Exception | None) -> None:
        self._is_open = False
        self._connections.discard(self)
        if self._cut is not None:
            self._cut.cancel()
        # Who waits to write is told that there is nobody any more.
        self.resume_writing()
        if self._inbox is not None:
            self._inbox.end()

    # Reading

    def _hand_in(self, payload: bytes | None) -> None:
        """Give a message to the application; None for one that is no text."""
        inbox = self._inbox
        if inbox is None or not self._is_open:
            return
        try:
            text = None if payload is None else payload.decode()
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA)
            return
        inbox.receive(text)
        if inbox.is_full and self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()

    def _read_on(self) -> None:
        if not self._is_reading and not self._transport.is_closing():
            self._is_reading = True
            self._transport.resume_reading()

    def _parse_from_here(self) -> ServerProtocol:
        if self._parser is None:
            self._parser = ServerProtocol(
                state=OPEN, max_size=self._max_size, logger=logging.getLogger("uvicorn.error")
            )
        return self._parser

    def _parse(self, data: bytes) -> None:
        """Let the parser read whole frames, or where it has to, all that comes."""
        parser = self._parse_from_here()
        parser.receive_data(data)
        for event in parser.events_received():
            if isinstance(event, Frame):
                self._take(event)
        self._flush(parser)
        if parser.parser_exc is not None or parser.close_rcvd is not None:
            self._transport.close()
        elif self._is_open and not self._keeps_parser and parser.current_size is None:
            self._parser = None

    def _take(self, frame: Frame) -> None:
        """Pings and closes are not for us: the parser has answered them."""
        if frame.opcode is Opcode.BINARY:
            self._hand_in(None)
        elif frame.opcode is Opcode.TEXT:
            self._parts = [bytes(frame.data)]
        elif frame.opcode is Opcode.CONT and self._parts is not None:
            self._parts.append(bytes(frame.data))
        if frame.fin and self._parts is not None and frame.opcode in (Opcode.TEXT, Opcode.CONT):
            payload, self._parts = b"".join(self._parts), None
            self._hand_in(payload)

    def _fail(self, code: CloseCode) -> None:
        parser = self._parse_from_here()
        parser.fail(code)
        self._flush(parser)
        self._transport.close()

    def _flush(self, parser: ServerProtocol) -> None:
        self._is_open = parser.state is OPEN
        output = b"".join(parser.data_to_send())
        if output and not self._transport.is_closing():
            self._transport.write(output)

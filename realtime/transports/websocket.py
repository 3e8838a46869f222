"""An open WebSocket connection, for servers that hand it over after the handshake.

Long, because it is one state machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..connection.heartbeat import Heartbeat
from ..connection.inbox import Inbox
from ..protocols.frames import Frame
from .frames import PING, TEXT, end_of_frame, is_close, is_message, last_frame, payload_of_frame
from .websockets_library import (
    CloseCode,
    Opcode,
    ServerProtocol,
    has_ended,
    is_between_messages,
    is_open,
    open_parser,
    release,
)
from .websockets_library import Frame as ParsedFrame

PARSED_AT_ONCE = 4_096
"""Bytes that the parser reads before its frames are charged."""
LARGE_FRAME = 65_536
"""Such a frame is added up as it comes; a smaller one is read again when it is whole."""
REST = -1
"""Not a number of bytes: all that follow."""
LATE_MAX = 1_000
"""Frames that a client may have on the way when the connection is closed."""


class Socket(asyncio.Protocol):
    """An open connection, from the end of its handshake on. It gives each message to an `Inbox`.

    Plain messages are read and written here. Everything else that a client sends goes to a parser
    of the `websockets` library, which exists only as long as it is needed.
    """

    __slots__ = (
        "_cut",
        "_heartbeat",
        "_inbox",
        "_is_open",
        "_is_reading",
        "_is_text",
        "_is_writable",
        "_late",
        "_max_size",
        "_missing",
        "_on_end",
        "_parser",
        "_parts",
        "_resumed",
        "_transport",
        "_unread",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        is_writable: bool,
        max_size: int,
        on_end: Callable[[Socket], None],
    ) -> None:
        self._transport = transport
        self._max_size = max_size
        self._on_end = on_end
        self._is_writable = is_writable
        self._is_open = True
        self._is_reading = True
        self._resumed: asyncio.Future[None] | None = None
        self._inbox: Inbox | None = None
        self._unread = b""
        """The beginning of a frame, or frames for which the inbox has no room."""
        self._parser: ServerProtocol | None = None
        self._missing = 0
        """How many bytes of a large frame are missing; or the `REST`, for the parser."""
        self._parts: bytearray | None = None
        """Of a message in several frames, or of a large frame."""
        self._is_text = True
        """Whether that message is a text."""
        self._late = 0
        """Frames that came after the close."""
        self._cut: asyncio.TimerHandle | None = None
        self._heartbeat: Heartbeat | None = None

    # What the application calls

    def listen(self, inbox: Inbox) -> None:
        self._inbox = inbox
        inbox.on_room = self._read_on

    def start_pings(self, on_silence: Callable[[], None]) -> None:
        """Ping the client from now on, for a protocol that has no pings."""
        self._heartbeat = Heartbeat(self._ping, on_silence)
        self._heartbeat.start()

    def write_frame(self, frame: Frame) -> bool:
        """Send `frame` now. Return False if `send` has to be used, which waits for a slow client
        and raises for a closed connection."""
        if not self._is_writable or not self._is_open:
            return False
        last = last_frame
        self._transport.write(last.encoded if frame is last.frame else last.of(frame))
        return True

    def write_close(self, code: int, reason: str) -> bool:
        """Begin the closing handshake now. Return False if `send` has to be used."""
        if not self._is_writable or not self._is_open:
            return False
        self._close(code, reason)
        return True

    def held_bytes(self) -> int:
        """0: `send` waits for the client."""
        return 0

    async def send(self, message: dict[str, Any]) -> None:
        """Send an event of ASGI: `websocket.send`, or `websocket.close`."""
        while not self._is_writable:
            if self._resumed is None:
                self._resumed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._resumed)
        if not self._is_open:
            raise ConnectionResetError("the client has gone")
        if message["type"] == "websocket.close":
            self._close(message["code"], message["reason"])
        else:
            text = message.get("text")
            self._transport.write(last_frame.of(message["bytes"] if text is None else text))

    def expect_end(self, seconds: float) -> None:
        if self._cut is None:
            self._cut = asyncio.get_running_loop().call_later(seconds, self._abort)

    def _ping(self) -> None:
        if self._is_open:
            self._transport.write(PING)

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

    # What the server calls

    def shutdown(self) -> None:
        """The server stops."""
        if self._is_open:
            self._close(CloseCode.SERVICE_RESTART)
        self._transport.close()

    # What the event loop calls

    def data_received(self, data: bytes) -> None:
        begin, size = 0, len(data)
        if self._missing:
            if self._missing == REST:
                self._parse(data)
                return
            begin = min(self._missing, size)
            self._missing -= begin
            if self._is_open:
                self._add(data[:begin])
        elif self._unread:
            data, self._unread = self._unread + data, b""
            size = len(data)
        while begin < size:
            end = end_of_frame(data, begin)
            if end is None:
                # The parser ends the connection.
                self._missing = REST
                self._parse(data[begin:])
                return
            if end > size:
                if end - begin < LARGE_FRAME:
                    self._unread = data[begin:]
                    return
                self._missing = end - size
                if self._is_short(begin, end) and self._is_open and is_message(data, begin):
                    self._parts = bytearray(data[begin:])
                else:
                    self._take(data, begin, size)
                return
            payload = None
            if self._is_short(begin, end):
                payload = payload_of_frame(data, begin, end)
            if payload is not None:
                self._hand_in(payload, is_text=data[begin] == TEXT)
                if not self._is_reading and self._inbox is not None and self._inbox.is_overfull:
                    self._unread = data[end:]
                    return
            elif not self._take(data, begin, end):
                return
            begin = end

    def _is_short(self, begin: int, end: int) -> bool:
        """Return whether a frame may be read without a parser."""
        return self._parser is None and end - begin <= self._max_size

    def _add(self, data: bytes) -> None:
        """Take the next part of a large frame."""
        if self._parser is not None:
            self._parse(data)
            return
        assert self._parts is not None
        self._parts += data
        if not self._missing:
            frame, self._parts = self._parts, None
            payload = payload_of_frame(frame, 0, len(frame))
            assert payload is not None
            self._hand_in(payload, is_text=frame[0] == TEXT)

    def _take(self, data: bytes, begin: int, end: int) -> bool:
        """Take a frame that is no plain text. Return False if it was the last one."""
        if self._is_open:
            self._parse(data[begin:end])
        elif is_close(data, begin):
            self._transport.close()
        else:
            self._count_late(1)
        return not self._transport.is_closing()

    def pause_writing(self) -> None:
        self._is_writable = False

    def resume_writing(self) -> None:
        self._is_writable = True
        if self._inbox is not None and not self._inbox.is_full:
            self._read_on()
        if self._resumed is not None:
            self._resumed.set_result(None)
            self._resumed = None

    def connection_lost(self, error: Exception | None) -> None:
        self._is_open = False
        self._on_end(self)
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._cut is not None:
            self._cut.cancel()
        self._unread, self._parts = b"", None
        self._drop_parser()
        # `send` must not wait any longer: it raises now.
        self.resume_writing()
        if self._inbox is not None:
            self._inbox.end()

    # Reading

    def _hand_in(self, payload: bytes, *, is_text: bool) -> None:
        """Give a message to the application."""
        inbox = self._inbox
        if inbox is None or not self._is_open:
            return
        try:
            message = payload.decode() if is_text else payload
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA)
            return
        inbox.receive(message)
        if inbox.is_full:
            self._read_no_more()

    def _read_no_more(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()

    def _read_on(self) -> None:
        if not self._is_reading and not self._transport.is_closing():
            self._is_reading = True
            if self._unread:
                self.data_received(b"")
            if self._is_reading:
                self._transport.resume_reading()

    def _parse_from_here(self) -> ServerProtocol:
        if self._parser is None:
            self._parser = open_parser(self._max_size)
        return self._parser

    def _drop_parser(self) -> None:
        if self._parser is not None:
            release(self._parser)
            self._parser = None

    def _parse(self, data: bytes) -> None:
        """Let the parser read."""
        parser = self._parse_from_here()
        for begin in range(0, len(data), PARSED_AT_ONCE):
            parser.receive_data(data[begin : begin + PARSED_AT_ONCE])
            self._take_all(parser)
            if has_ended(parser) or self._transport.is_closing():
                break
        if has_ended(parser):
            self._transport.close()
        elif self._is_open and not self._missing and is_between_messages(parser):
            self._drop_parser()

    def _take_all(self, parser: ServerProtocol) -> None:
        """Take what was parsed. A frame costs tens of microseconds, and not every one is a message
        that is charged as such."""
        others = 0
        for event in parser.events_received():
            if isinstance(event, ParsedFrame):
                others += not self._completes(event)
        self._flush(parser)
        if not self._is_open:
            self._count_late(others)
        elif others and self._inbox is not None:
            self._inbox.charge(others)

    def _count_late(self, frames: int) -> None:
        """Frames have come after the close, of which only the client's own close is read."""
        self._late += frames
        if self._late > LATE_MAX:
            self._abort()

    def _completes(self, frame: ParsedFrame) -> bool:
        """Take a frame, and return whether it completes a message. The parser has answered pings
        and closes itself."""
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._is_text = frame.opcode is Opcode.TEXT
            self._parts = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT and self._parts is not None:
            self._parts += frame.data
        else:
            if frame.opcode is Opcode.PONG and self._heartbeat is not None:
                self._heartbeat.on_pong()
            return False
        if not frame.fin:
            return False
        payload, self._parts = bytes(self._parts), None
        self._hand_in(payload, is_text=self._is_text)
        return self._is_open

    def _fail(self, code: CloseCode) -> None:
        parser = self._parse_from_here()
        parser.fail(code)
        self._flush(parser)
        self._transport.close()

    def _flush(self, parser: ServerProtocol) -> None:
        self._is_open = is_open(parser)
        output = b"".join(parser.data_to_send())
        if output and not self._transport.is_closing():
            self._transport.write(output)
            if not self._is_writable and self._is_open:
                # Pongs that the client does not read: it is not read either.
                self._read_no_more()

"""A transport for a socket that another library has accepted and gives away.

It does what those of asyncio do, which only a coroutine can make. What the kernel does not take is
kept in one buffer; the protocol is asked to wait if that grows.
"""

from __future__ import annotations

import asyncio
import socket

HIGH_WATER = 65_536
"""With more unsent bytes, the protocol is asked not to write. As in asyncio."""
LOW_WATER = HIGH_WATER // 4
READ_BYTES = 65_536


class SocketTransport(asyncio.Transport):
    """Reads from `set_protocol` on."""

    __slots__ = (
        "_fd",
        "_is_closing",
        "_is_paused",
        "_is_reading",
        "_loop",
        "_protocol",
        "_sock",
        "_unsent",
    )
    _protocol: asyncio.Protocol

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        # The loop is faster with the number: its selector formats what it does not know.
        self._fd = sock.fileno()
        self._unsent: bytearray | None = None
        self._is_closing = False
        self._is_paused = False
        """Whether the protocol was asked not to write."""
        self._is_reading = False

    # What the protocol calls

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol
        self.resume_reading()

    def get_protocol(self) -> asyncio.Protocol:
        return self._protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_closing:
            return
        if self._unsent is not None:
            self._unsent += data
        else:
            sent = self._send(data)
            if self._is_closing or sent == len(data):
                return
            self._unsent = bytearray(data[sent:])
            self._loop.add_writer(self._fd, self._write_on)
        if len(self._unsent) > HIGH_WATER and not self._is_paused:
            self._is_paused = True
            self._protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self._unsent or b"")

    def pause_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        if not self._is_reading and not self._is_closing:
            self._is_reading = True
            self._loop.add_reader(self._fd, self._read)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        """End the connection when everything is sent."""
        if self._is_closing:
            return
        self.pause_reading()
        self._is_closing = True
        if self._unsent is None:
            self._loop.call_soon(self._end, None)

    def abort(self) -> None:
        """End the connection. What is not sent is lost."""
        self._lose(None)

    # What the event loop calls

    def _read(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        if not data:
            self.close()
            return
        try:
            self._protocol.data_received(data)
        except Exception as error:
            context = {"message": "a protocol could not read", "exception": error}
            self._loop.call_exception_handler({**context, "transport": self})
            self._lose(error)

    def _write_on(self) -> None:
        unsent = self._unsent
        if unsent is None:
            return
        del unsent[: self._send(unsent)]
        if self._unsent is None:  # the connection was lost
            return
        if not unsent:
            self._unsent = None
            self._loop.remove_writer(self._fd)
            if self._is_closing:
                self._loop.call_soon(self._end, None)
        if self._is_paused and len(unsent) <= LOW_WATER:
            self._is_paused = False
            self._protocol.resume_writing()

    def _send(self, data: bytes | bytearray | memoryview) -> int:
        """Return how much of `data` the kernel has taken."""
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._lose(error)
            return 0

    def _lose(self, error: Exception | None) -> None:
        if self._is_closing and self._unsent is None:
            return  # its end has begun
        self.pause_reading()
        self._is_closing = True
        if self._unsent is not None:
            self._unsent = None
            self._loop.remove_writer(self._fd)
        self._loop.call_soon(self._end, error)

    def _end(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._sock.close()

"""The client side of a WebSocket, without I/O: builds frames, and counts received messages."""

from __future__ import annotations

import re
from enum import IntEnum

MARKER = b"~^~^~^~^"
"""Once in every message, and in nothing else that a server sends."""
_NUMBER = re.compile(re.escape(MARKER) + rb"(\d{9})")
_CARRIED = len(MARKER) - 1
_PROBE = 1_024
_FEW = MARKER.count(MARKER[:1])


class Opcode(IntEnum):
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


def text(number: int, size: int) -> str:
    """The message with this number, of `size` bytes."""
    return f"{MARKER.decode()}{number:09d}".ljust(size, "x")


def payload(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


def numbers(received: bytes) -> list[int]:
    """The numbers of the messages in `received`, in order."""
    return [int(number) for number in _NUMBER.findall(received)]


def frame(payload: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    """A client frame. The mask is zero, which costs the server the same and the client nothing."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    return b"%b\0\0\0\0%b" % (head, payload)


def request(port: int, path: str, headers: tuple[str, ...] = ()) -> bytes:
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Origin: http://127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
    )
    return "\r\n".join((*lines, "", "")).encode()


class Intake:
    """Counts the messages that a server sends, in chunks as the socket delivers them.

    It skips the payload of frames and counts markers, whatever the number of messages in a frame.
    Control frames and very short frames are collected in `short`. `line` is a line that a server
    may put between the messages of a frame (a ping), and `ending` a byte that is the last one of a
    frame with a ping at its end; these are counted in `lines`.
    """

    SHORT = 2

    def __init__(self, line: bytes = b"", ending: bytes = b"") -> None:
        self.lines = 0
        self.short: list[tuple[int, bytes]] = []
        self._first = line + b"\n" if line else b""
        self._later = b"\n" + line if line else b""
        self._ending = ending
        self._ahead = 0  # bytes of the current frame that are still to come
        self._begun = b""  # the beginning of a frame whose header is not complete
        self._last = b""  # the last bytes, in which a marker may begin

    def feed(self, data: bytes) -> int:
        """Take the next chunk. Return how many markers end in it."""
        if self._begun:
            data, self._begun = self._begun + data, b""
        before = self._last
        if self._later and (before or b"\n" in data):
            self.lines += _count(self._later, before, data)
        self._step_over(data)
        if self._begun:
            data = data[: -len(self._begun)]  # is read again with the next chunk
        self._last = (before + data[-_CARRIED:])[-_CARRIED:] if self._ahead else b""
        return _count(MARKER, before, data)

    def _step_over(self, data: bytes) -> None:
        position, end = self._ahead, len(data)
        if 0 < position <= end and self._ending:
            self.lines += data[position - 1 : position] == self._ending
        while position < end:
            size, head = (data[position + 1], 2) if position + 2 <= end else (0, 3)
            if size >= 126:
                head = 4 if size == 126 else 10
                size = int.from_bytes(data[position + 2 : position + head], "big")
            is_short = size <= self.SHORT or data[position] & 0x0F >= Opcode.CLOSE
            needed = position + head + (size if is_short else len(self._first))
            if needed > end:
                self._begun = data[position:]
                position = end
                break
            if is_short:
                self.short.append((data[position] & 0x0F, data[position + head : needed]))
            elif self._first and data.startswith(self._first, position + head):
                self.lines += 1
            position += head + size
            if self._ending and not is_short and position <= end:
                self.lines += data[position - 1 : position] == self._ending
        self._ahead = position - end


def _count(word: bytes, before: bytes, data: bytes) -> int:
    """How many times `word` ends in `data`, without copying `data`, which may be large."""
    carried = len(word) - 1
    across = (before[-carried:] + data[:carried]).count(word) if before else 0
    if len(data) > 4 * _PROBE and data.count(word[:1], 0, _PROBE) <= _FEW:
        return across + _count_by_leaps(word, data)
    return across + data.count(word)


def _count_by_leaps(word: bytes, data: bytes) -> int:
    """The same, ten times as fast if the first byte of `word` is rare, as in large messages."""
    first, count = word[:1], 0
    position = data.find(first)
    while position >= 0:
        if data.startswith(word, position):
            count += 1
            position += len(word) - 1
        position = data.find(first, position + 1)
    return count

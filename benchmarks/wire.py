"""The client's side of a WebSocket without I/O: what is sent, and a cheap look at what comes."""

from __future__ import annotations

import re
from enum import IntEnum

MARKER = b"~^~^~^~^"
"""In every message once, and in nothing else that a server sends."""
_NUMBER = re.compile(re.escape(MARKER) + rb"(\d{9})")
_CARRIED = len(MARKER) - 1
_PROBE = 1_024
_FEW = MARKER.count(MARKER[:1])


class Opcode(IntEnum):
    TEXT = 1
    CLOSE = 8
    PING = 9
    PONG = 10


def text(number: int, size: int) -> str:
    """The message with this number, of `size` bytes."""
    return f"{MARKER.decode()}{number:09d}".ljust(size, "x")


def numbers(received: bytes) -> list[int]:
    """Of the messages in `received`, in order."""
    return [int(number) for number in _NUMBER.findall(received)]


def frame(payload: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    """A frame as clients send it. The mask is zero: the server's work is the same, ours is none."""
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
    """Counts the messages in what a server sends, in chunks as they come from the socket.

    Frames are stepped over and not read; only control frames and very short ones are, into
    `short`. So a message a frame, many in one frame, and packets of Socket.IO all count alike.
    `line` is a line that servers put between the messages of a frame, which is counted too.
    """

    SHORT = 2

    def __init__(self, line: bytes = b"") -> None:
        self.lines = 0
        self.short: list[tuple[int, bytes]] = []
        self._first = line + b"\n" if line else b""
        self._later = b"\n" + line if line else b""
        self._ahead = 0  # bytes of the current frame that are still to come
        self._begun = b""  # a frame of which too little has come to step over it
        self._tail = b""  # the end of what came, which a marker may begin in

    def feed(self, data: bytes) -> int:
        """Take the next chunk; returns how many messages ended their marker in it."""
        if self._begun:
            data, self._begun = self._begun + data, b""
        tail = self._tail
        if self._later and (tail or b"\n" in data):
            self.lines += _count(self._later, tail, data)
        self._step_over(data)
        if self._begun:
            data = data[: -len(self._begun)]  # comes again
        self._tail = (tail + data[-_CARRIED:])[-_CARRIED:] if self._ahead else b""
        return _count(MARKER, tail, data)

    def _step_over(self, data: bytes) -> None:
        position, end = self._ahead, len(data)
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
        self._ahead = position - end


def _count(word: bytes, before: bytes, data: bytes) -> int:
    """How often `word` ends in `data`, without a copy of it, which may be large."""
    carried = len(word) - 1
    across = (before[-carried:] + data[:carried]).count(word) if before else 0
    if len(data) > 4 * _PROBE and data.count(word[:1], 0, _PROBE) <= _FEW:
        return across + _count_by_leaps(word, data)
    return across + data.count(word)


def _count_by_leaps(word: bytes, data: bytes) -> int:
    """The same where the first byte of `word` is rare, as it is in large messages: ten times as
    fast there."""
    first, count = word[:1], 0
    position = data.find(first)
    while position >= 0:
        if data.startswith(word, position):
            count += 1
            position += len(word) - 1
        position = data.find(first, position + 1)
    return count

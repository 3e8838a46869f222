"""A WebSocket client that does what it is told: it reads only if asked, and writes any bytes.

It costs little, so that the server is the slower side of an attack.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

MASK = b"\x80"
TEXT, CONTINUATION, PING, CLOSE = 0x81, 0x80, 0x89, 0x88
_ERROR = re.compile(rb'"error":\{"code":(\d+)')


class Gone(Exception):
    """The server has closed the connection."""


_AWAY = (OSError, EOFError, Gone)


def frame(payload: bytes, kind: int = TEXT) -> bytes:
    """Return a frame with a mask of zeros, which leaves the payload as it is."""
    return head(len(payload), kind) + payload


def head(length: int, kind: int = TEXT) -> bytes:
    if length < 126:
        return bytes((kind, 0x80 | length)) + bytes(4)
    if length < 65_536:
        return bytes((kind, 0xFE)) + length.to_bytes(2, "big") + bytes(4)
    return bytes((kind, 0xFF)) + length.to_bytes(8, "big") + bytes(4)


def lines(*commands: dict[str, Any]) -> bytes:
    return frame("\n".join(map(json.dumps, commands)).encode())


class Socket:
    """A connection. `codes` counts the errors and closes that it gets."""

    def __init__(self, codes: Counter[str], on_text: Callable[[bytes], None] | None = None) -> None:
        self._codes = codes
        self._on_text = on_text
        self._reading: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._answers = asyncio.Condition()
        self._answered: dict[int, bytes] = {}

    async def open(self, port: int, token: str = "") -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        extra = f"Authorization: Bearer {token}\r\n" if token else ""
        self._writer.write(
            f"GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n{extra}\r\n".encode()
        )
        status = (await self._reader.readuntil(b"\r\n\r\n"))[9:12].decode()
        if status != "101":
            self._codes[f"HTTP {status}"] += 1
            raise Gone

    async def write(self, data: bytes) -> None:
        """Write, and wait until the server has taken most of it."""
        if self._writer is None or self._writer.is_closing():
            raise Gone
        if self._reading is not None and self._reading.done():
            raise Gone
        self._writer.write(data)
        try:
            await self._writer.drain()
        except OSError as error:
            raise Gone from error

    def read(self) -> None:
        """Read from now on."""
        self._reading = self._reading or asyncio.create_task(self._read())

    async def call(self, **command: Any) -> bytes:
        """Send a command that has an id, and wait for the frame with its reply."""
        self.read()
        await self.write(lines(command))
        async with self._answers:
            await self._answers.wait_for(
                lambda: command["id"] in self._answered or self._reading_is_over
            )
        if command["id"] not in self._answered:
            raise Gone
        return self._answered.pop(command["id"])

    async def closed(self) -> None:
        """Read until the server closes."""
        if self._writer is None:
            return
        self.read()
        if self._reading is not None:
            await self._reading

    def abort(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.transport.abort()

    @property
    def _reading_is_over(self) -> bool:
        return self._reading is None or self._reading.done()

    async def _read(self) -> None:
        try:
            while True:
                kind, payload = await self._frame()
                if kind == CLOSE:
                    code = int.from_bytes(payload[:2], "big") if payload else 1005
                    self._codes[str(code)] += 1
                    return
                if kind == TEXT:
                    await self._take(payload)
        except _AWAY:
            self._codes["cut"] += 1
        finally:
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, self._wake())

    async def _take(self, payload: bytes) -> None:
        for code in _ERROR.findall(payload):
            self._codes[code.decode()] += 1
        if self._on_text is not None:
            self._on_text(payload)
        if payload == b"{}" or payload.endswith(b"\n{}"):
            await self.write(frame(b"{}"))
        if ids := re.findall(rb'(?:^|\n)\{"id":(\d+)', payload):
            self._answered |= {int(number): payload for number in ids}
            await self._wake()

    async def _wake(self) -> None:
        async with self._answers:
            self._answers.notify_all()

    async def _frame(self) -> tuple[int, bytes]:
        kind, length = await self._reader.readexactly(2)
        if length == 126:
            length = int.from_bytes(await self._reader.readexactly(2), "big")
        elif length == 127:
            length = int.from_bytes(await self._reader.readexactly(8), "big")
        return kind, await self._reader.readexactly(length)

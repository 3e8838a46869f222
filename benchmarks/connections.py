"""The connections of the load generator: opens, counts and closes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from . import wire
from .dialects import Dialect, Message
from .wire import Intake, Opcode

OPEN_SECONDS = 60
AT_ONCE = 40
"""Fewer than Daphne's listen backlog, so that no connection has to be tried twice."""
SAMPLE_BYTES = 8 * 1024 * 1024


Listener = Callable[["Connection", int], None]


@dataclass(frozen=True)
class Address:
    """The server, room and user of a connection."""

    port: int
    room: str
    token: str = ""


class Connection(asyncio.Protocol):
    """One client. It counts the messages in each chunk, and passes the count to `on_messages`."""

    def __init__(self, dialect: Dialect, address: Address) -> None:
        self.dialect = dialect
        self.address = address
        self.received = 0
        self.answered_pings = 0
        self.on_messages: Listener | None = None
        self.on_data: Callable[[bytes], None] | None = None
        self.sample: bytearray | None = None
        """The received bytes, if they are checked afterwards."""
        self.joined = asyncio.get_running_loop().create_future()
        self.lost = asyncio.get_running_loop().create_future()
        self._ping = wire.payload(dialect.ping)
        self._intake = Intake(self._ping if dialect.joins_lines else b"", dialect.ends_in_ping)
        self._steps = list(dialect.greeting(address.room))
        self._heard = b""
        self._is_upgraded = False

    def say(self, message: Message) -> None:
        opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
        self._transport.write(wire.frame(wire.payload(message), opcode))

    def close(self) -> None:
        self._transport.write(wire.frame((1000).to_bytes(2, "big"), Opcode.CLOSE))

    def abort(self) -> None:
        self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        headers = self.dialect.headers(self.address.token)
        path = self.dialect.path(self.address.room)
        self._transport.write(wire.request(self.address.port, path, headers))

    def data_received(self, data: bytes) -> None:
        if not self._is_upgraded:
            data = self._upgrade(data)
            if not data and self._steps:
                return
        count = self._intake.feed(data)
        if self._steps or not self.joined.done():
            self._greet(data)
        if self._intake.short or self._intake.lines:
            self._answer()
        if self.sample is not None and len(self.sample) < SAMPLE_BYTES:
            self.sample += data
        if self.on_data is not None:
            self.on_data(data)
        if count and self.on_messages is not None:
            self.on_messages(self, count)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        if not self.joined.done():
            said = self._heard[-300:].decode(errors="replace")
            self.joined.set_exception(
                ConnectionError(f"the connection ended before it was in its room; received: {said}")
            )
            self.joined.exception()  # marks the exception as seen, if nobody awaits it

    # The handshake

    def _upgrade(self, data: bytes) -> bytes:
        """Read the response to the request. Return the bytes behind it."""
        self._heard += data
        head, end, rest = self._heard.partition(b"\r\n\r\n")
        if not end:
            return b""
        if not head.startswith(b"HTTP/1.1 101"):
            self.abort()
            return b""
        self._is_upgraded, self._heard = True, b""
        self._take_step()
        return rest

    def _greet(self, data: bytes) -> None:
        self._heard += data
        while self._steps and self._steps[0][1] in self._heard:
            self._heard = self._heard.partition(self._steps.pop(0)[1])[2]
            self._take_step()
        if self.dialect.refusal and self.dialect.refusal in self._heard:
            self.abort()

    def _take_step(self) -> None:
        if self._steps:
            if self._steps[0][0]:
                self.say(self._steps[0][0])
        elif not self.joined.done():
            self._heard = b""
            self.joined.set_result(None)

    # Pings and closes of the server

    def _answer(self) -> None:
        pings, self._intake.lines = self._intake.lines, 0
        short, self._intake.short = self._intake.short, []
        for opcode, payload in short:
            if opcode == Opcode.PING:
                self._transport.write(wire.frame(payload, Opcode.PONG))
                self.answered_pings += 1
            elif opcode == Opcode.CLOSE:
                self._transport.write(wire.frame(payload, Opcode.CLOSE))
                self._transport.close()
            elif self._ping and payload == self._ping:
                pings += 1
        for _ in range(pings):
            self.say(self.dialect.pong)
        self.answered_pings += pings


async def connect(dialect: Dialect, address: Address) -> Connection:
    """Connect. Return when the connection is in its room."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(OPEN_SECONDS):
        _, connection = await loop.create_connection(
            lambda: Connection(dialect, address), "127.0.0.1", address.port
        )
        try:
            await connection.joined
        except BaseException:
            connection.abort()
            raise
    return connection


async def connect_all(
    dialect: Dialect, addresses: Sequence[Address], at_once: int = AT_ONCE
) -> list[Connection]:
    """Connect all, in order. On a failure, close all and raise the first one, an OSError."""
    gate = asyncio.Semaphore(at_once)
    opened: list[Connection] = []

    async def connect_one(address: Address) -> Connection:
        async with gate:
            opened.append(await connect(dialect, address))
            return opened[-1]

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(connect_one(address)) for address in addresses]
    except ExceptionGroup as failures:
        for connection in opened:
            connection.abort()
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]


async def close_all(connections: Sequence[Connection], seconds: float = 5) -> None:
    for connection in connections:
        if not connection.lost.done():
            connection.close()
    losses = [connection.lost for connection in connections]
    _, waiting = await asyncio.wait(losses, timeout=seconds)
    if waiting:
        for connection in connections:
            connection.abort()

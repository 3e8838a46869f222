"""A connection to Redis that hiredis reads, with one write for all commands of a tick.

redis-py opens it, because it knows how to sign in, encrypt and ask Sentinels. Then its socket is
taken over, because redis-py needs 60 to 100 µs for a command and 50 µs for a message of a
subscription. This is the only module that knows the insides of redis-py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError, NoScriptError, ResponseError

Command = tuple[Any, ...] | bytes
"""The parts of a command, or its bytes as they are sent."""


class RedisConnection(asyncio.Protocol):
    """Sends commands and calls `on_reply` with each reply; an error of Redis is a `ResponseError`.

    `on_lost` is called once, when the connection has ended for whatever reason.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        connection: AbstractConnection,
        on_reply: Callable[[Any], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._connection = connection
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._reader = hiredis.Reader(replyError=_error)
        self._unsent: list[bytes] = []
        self._is_over = False
        self._loop = asyncio.get_running_loop()
        writer: asyncio.StreamWriter | None = connection._writer
        if writer is None or writer.is_closing():
            raise ConnectionError("the connection was lost while it was opened")
        self._transport: Any = writer.transport
        self._transport.set_protocol(self)

    @classmethod
    async def open(
        cls,
        pool: ConnectionPool,
        on_reply: Callable[[Any], None],
        on_lost: Callable[[], None],
        *,
        first: tuple[Any, ...] | None = None,
        on_first: Callable[[Any], object] = bool,
    ) -> RedisConnection:
        """Open a connection, on which the command `first` is carried out before all others, and its
        reply is given to `on_first`. Raises what redis-py raises if Redis can't be reached or
        refuses it."""
        connection: AbstractConnection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            if first is not None:
                await connection.send_command(*first)
                on_first(await connection.read_response())
            return cls(pool, connection, on_reply, on_lost)
        except BaseException:
            await connection.disconnect(nowait=True)
            await pool.release(connection)
            raise

    def send(self, command: Command) -> None:
        """Send a command, together with others of the same tick of the loop."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        packed = command if isinstance(command, bytes) else hiredis.pack_command(command)
        self._unsent.append(packed)

    def abort(self) -> None:
        """End at once: replies that have arrived already are dropped too."""
        self._is_over = True
        self._transport.abort()

    async def close(self) -> None:
        self.abort()
        await self._connection.disconnect(nowait=True)
        await self._pool.release(self._connection)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if not self._is_over:
            self._transport.write(b"".join(unsent))

    # What asyncio calls

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while not self._is_over and (reply := self._reader.gets()) is not False:
                self._on_reply(reply)
        except hiredis.ProtocolError:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._is_over:
            self._is_over = True
            self._on_lost()


def _error(text: str) -> ResponseError:
    kind = NoScriptError if text.startswith("NOSCRIPT") else ResponseError
    return kind(text)

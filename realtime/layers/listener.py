"""The connection to Redis that listens: it stays subscribed to what is wanted, whatever happens."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from itertools import islice
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool

from .. import tasks

logger = logging.getLogger("realtime.layers.redis")

QUIET_SECONDS = 1.0
"""After so long without a word from Redis it is asked whether it is there."""
ANSWER_SECONDS = 3.0
RETRY_SECONDS = 0.5
_CHANNELS_A_COMMAND = 500


class Listener:
    """Subscribes, and subscribes again after every loss of the connection.

    redis-py's own `PubSub` comes back by itself too, but tells nobody: what was published meanwhile
    is then lost in silence. `on_reconnect` is called as soon as everything is subscribed again.
    """

    def __init__(
        self,
        pool: Callable[[], ConnectionPool],
        on_message: Callable[[str, bytes], None],
        on_reconnect: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._on_message = on_message
        self._on_reconnect = on_reconnect
        # Each wanted channel, and whether Redis has confirmed it on the present connection.
        self._wanted: dict[str, asyncio.Future[None]] = {}
        self._unconfirmed: set[str] = set()
        self._connection: AbstractConnection | None = None
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._lost = False

    async def subscribe(self, channel: str) -> None:
        """Returns when Redis has confirmed: what is published from then on will come."""
        confirmed = self._wanted.get(channel)
        if confirmed is None:
            confirmed = self._wanted[channel] = asyncio.get_running_loop().create_future()
            if self._task is None:
                self._task = asyncio.create_task(self._listen(), name="realtime-redis-listener")
            await self._send("SUBSCRIBE", channel)
        await asyncio.shield(confirmed)

    async def unsubscribe(self, channel: str) -> None:
        confirmed = self._wanted.pop(channel, None)
        if confirmed is not None:
            _release(confirmed)
            self._unconfirmed.discard(channel)
            await self._send("UNSUBSCRIBE", channel)

    async def close(self) -> None:
        if self._task is not None:
            await tasks.cancel(self._task)
            self._task = None
        for confirmed in self._wanted.values():
            _release(confirmed)
        self._wanted.clear()
        self._lost = False

    async def _send(self, *command: str) -> None:
        """Say something on the present connection; without one, the next one says it anyway."""
        async with self._writing:
            connection = self._connection
            # A connection that has broken would connect again by itself, subscribed to nothing.
            if connection is None or not connection.is_connected:
                return
            try:
                await connection.send_command(*command, check_health=False)
            except Exception as error:
                logger.debug("a command could not be sent: %s", type(error).__name__)

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except Exception as error:
                if not self._lost:
                    self._lost = True
                    logger.warning("the connection to Redis is lost: %s", type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1))

    async def _listen_once(self) -> None:
        """Connect, subscribe, and read until the connection breaks."""
        pool = self._pool()
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            self._connection = connection
            self._unconfirmed = set(self._wanted)
            channels = iter(list(self._wanted))
            while part := list(islice(channels, _CHANNELS_A_COMMAND)):
                await self._send("SUBSCRIBE", *part)
            await self._read(connection)
        finally:
            self._connection = None
            self._forget_confirmations()
            await connection.disconnect(nowait=True)
            await pool.release(connection)

    async def _read(self, connection: AbstractConnection) -> None:
        asked = False
        while True:
            response = await connection.read_response(
                timeout=ANSWER_SECONDS if asked else QUIET_SECONDS,
                disconnect_on_error=False,
                push_request=True,
            )
            if response is not None:
                asked = False
                self._on_response(response)
            elif asked:
                raise TimeoutError("Redis does not answer")
            else:
                asked = True
                await self._send("PING")

    def _on_response(self, response: Any) -> None:
        if not isinstance(response, list):
            return  # the answer to a ping
        kind = response[0]
        if kind == b"message":
            self._on_message(response[1].decode(), response[2])
        elif kind == b"subscribe":
            self._on_confirmation(response[1].decode())

    def _on_confirmation(self, channel: str) -> None:
        if channel in self._wanted:
            _release(self._wanted[channel])
        self._unconfirmed.discard(channel)
        if self._lost and not self._unconfirmed:
            self._lost = False
            logger.warning("the connection to Redis is back")
            self._on_reconnect()

    def _forget_confirmations(self) -> None:
        loop = asyncio.get_running_loop()
        for channel, confirmed in self._wanted.items():
            if confirmed.done():
                self._wanted[channel] = loop.create_future()


def _release(confirmed: asyncio.Future[None]) -> None:
    """Let those go on who wait for this channel."""
    if not confirmed.done():
        confirmed.set_result(None)

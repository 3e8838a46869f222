"""The connection to Redis that receives messages: it subscribes again after every loss."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from itertools import islice
from typing import Any

from redis.asyncio.connection import ConnectionPool

from ...concurrency import tasks
from .connection import RedisConnection

logger = logging.getLogger("realtime.layers.redis")

QUIET_SECONDS = 1.0
"""Time without a message from Redis after which it gets a PING."""
ANSWER_SECONDS = 3.0
SECOND_LOOK_SECONDS = 0.1
RETRY_SECONDS = 0.5
_CHANNELS_A_COMMAND = 500


class Subscriber:
    """Subscribes, and subscribes again after every loss of the connection.

    redis-py's own `PubSub` reconnects by itself too, but reports nothing: the messages in between
    are then lost without a sign. `on_reconnect` is called as soon as all channels are subscribed
    again.
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
        self._connection: RedisConnection | None = None
        self._heard = False
        self._task: asyncio.Task[None] | None = None
        self._lost = False

    async def subscribe(self, channel: str) -> None:
        """Return when Redis has confirmed: messages published from then on are received."""
        confirmed = self._wanted.get(channel)
        if confirmed is None:
            channel.encode()  # raises for a name that no connection could ever subscribe to
            confirmed = self._wanted[channel] = asyncio.get_running_loop().create_future()
            if self._task is None:
                self._task = asyncio.create_task(self._listen(), name="realtime-redis-subscriber")
            self._send("SUBSCRIBE", channel)
        await asyncio.shield(confirmed)

    async def unsubscribe(self, channel: str) -> None:
        confirmed = self._wanted.pop(channel, None)
        if confirmed is not None:
            _release(confirmed)
            self._unconfirmed.discard(channel)
            self._send("UNSUBSCRIBE", channel)

    async def close(self) -> None:
        if self._task is not None:
            await tasks.cancel(self._task)
            self._task = None
        for confirmed in self._wanted.values():
            _release(confirmed)
        self._wanted.clear()
        self._lost = False

    def _send(self, *command: str) -> None:
        """Send a command if there is a connection; the next one subscribes to everything anyway."""
        if self._connection is not None:
            self._connection.send(command)

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
        """Connect, subscribe, and stay as long as Redis is there."""
        ended = asyncio.Event()
        connection = await RedisConnection.open(self._pool(), self._on_reply, ended.set)
        try:
            self._connection = connection
            self._unconfirmed = set(self._wanted)
            channels = iter(list(self._wanted))
            while part := list(islice(channels, _CHANNELS_A_COMMAND)):
                self._send("SUBSCRIBE", *part)
            await self._watch(ended)
        finally:
            self._connection = None
            self._forget_confirmations()
            await connection.close()

    async def _watch(self, ended: asyncio.Event) -> None:
        """Send a PING if Redis has sent nothing for a while, and end if there is no answer."""
        asked = False
        while True:
            self._heard = False
            try:
                async with asyncio.timeout(ANSWER_SECONDS if asked else QUIET_SECONDS):
                    await ended.wait()
                raise ConnectionError("the connection was closed")
            except TimeoutError:
                # After a loop that stood still its clocks ring before it has read what has come.
                await asyncio.sleep(SECOND_LOOK_SECONDS)
            if self._heard:
                asked = False
            elif asked:
                raise TimeoutError("Redis does not answer")
            else:
                asked = True
                self._send("PING")

    def _on_reply(self, reply: Any) -> None:
        self._heard = True
        if not isinstance(reply, list):
            return  # the answer to a ping
        kind = reply[0]
        if kind == b"message":
            try:
                self._on_message(reply[1].decode(), reply[2])
            except Exception:
                # One message that can't be read must not end the delivery of all others.
                logger.exception("a message of the channel layer could not be delivered")
        elif kind == b"subscribe":
            self._on_confirmation(reply[1].decode())

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
    """Let the callers go on that wait for this channel."""
    if not confirmed.done():
        confirmed.set_result(None)

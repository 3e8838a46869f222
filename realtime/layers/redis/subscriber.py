"""The connection to Redis that receives messages: it subscribes again after every loss."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ResponseError

from ...concurrency import tasks
from ...exceptions import LayerUnavailable
from ...sparse_log import SparseLogs
from .availability import ERRORS
from .connection import RedisConnection
from .pools import pool_address
from .refusals import Refused, report

logger = logging.getLogger("realtime.layers.redis")

QUIET_SECONDS = 1.0
"""Time without a message from Redis after which it gets a PING."""
ANSWER_SECONDS = 3.0
OPEN_SECONDS = 5.0
SECOND_LOOK_SECONDS = 0.1
RETRY_SECONDS = 0.5
RETRY_REFUSED_SECONDS = 5.0
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
        # The commands that Redis has not answered yet, in their order.
        self._asked: deque[_Asked] = deque()
        self._refused: set[str] = set()
        self._connection: RedisConnection | None = None
        self._heard = False
        self._task: asyncio.Task[None] | None = None
        self._lost = False
        self._ended = asyncio.Event()
        self._failure: Exception | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._log = SparseLogs(logger)

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

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
            self._refused.discard(channel)
            self._send("UNSUBSCRIBE", channel)

    async def close(self) -> None:
        if self._task is not None:
            await tasks.cancel(self._task)
            self._task = None
        for confirmed in self._wanted.values():
            _release(confirmed)
        self._wanted.clear()
        self._refused.clear()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._lost = False

    def _send(self, *command: str) -> None:
        """Send a command if there is a connection; the next one subscribes to everything anyway."""
        if self._connection is not None:
            self._connection.send(command)
            self._asked.append(_Asked(command[0], list(command[1:])))

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except Exception as error:
                reason = report(error) if isinstance(error, ERRORS) else error
                if isinstance(reason, Refused):
                    self._fail_waiting(list(self._wanted), reason)
                if not self._lost:
                    self._lost = True
                    self._log.warning(
                        "lost",
                        "the connection to Redis at %s is lost: %s",
                        pool_address(self._pool()),
                        type(error).__name__,
                    )
            await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1))

    async def _listen_once(self) -> None:
        """Connect, subscribe, and stay as long as Redis is there."""
        ended = self._ended = asyncio.Event()
        async with asyncio.timeout(OPEN_SECONDS):
            connection = await RedisConnection.open(self._pool(), self._on_reply, ended.set)
        try:
            self._connection, self._failure = connection, None
            self._asked.clear()
            self._refused.clear()
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
                raise self._failure or ConnectionError("the connection was closed")
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
        if isinstance(reply, ResponseError):
            self._on_refusal(reply)
            return
        if not isinstance(reply, list):
            self._answered()  # a ping before the first channel
            return
        kind = reply[0]
        if kind == b"message":
            try:
                self._on_message(reply[1].decode(), reply[2])
            except Exception:
                # One message that can't be read must not end the delivery of all others.
                logger.exception("a message of the channel layer could not be delivered")
            return
        self._answered()
        if kind == b"subscribe":
            self._on_confirmation(reply[1].decode())

    def _answered(self) -> None:
        """Count an answer: there is one for each channel, and one for a ping."""
        if self._asked and self._asked[0].is_last():
            self._asked.popleft()

    def _on_refusal(self, error: ResponseError) -> None:
        """Redis refuses a command as a whole. Each channel is then tried alone, so that one which
        is not allowed does not stop the others."""
        reason = report(error)
        asked = self._asked.popleft() if self._asked else _Asked("PING", [])
        if isinstance(reason, Refused) and reason.needs_new_connection:
            self._failure = error
            self._ended.set()
        elif asked.command == "SUBSCRIBE":
            channels = [channel for channel in asked.channels if channel in self._wanted]
            if len(asked.channels) > 1:
                for channel in channels:
                    self._send("SUBSCRIBE", channel)
                return
            self._fail_waiting(channels, reason)
            self._unconfirmed.difference_update(channels)
            self._refused.update(channels)
            if self._retry is None:
                loop = asyncio.get_running_loop()
                self._retry = loop.call_later(RETRY_REFUSED_SECONDS, self._retry_refused)
            self._report_if_back()

    def _retry_refused(self) -> None:
        self._retry = None
        for channel in self._refused:
            self._send("SUBSCRIBE", channel)

    def _fail_waiting(self, channels: list[str], reason: LayerUnavailable) -> None:
        for channel in channels:
            confirmed = self._wanted[channel]
            if not confirmed.done():
                confirmed.set_exception(reason)
                confirmed.exception()  # no warning from asyncio if nobody waits any more
                self._wanted[channel] = asyncio.get_running_loop().create_future()

    def _on_confirmation(self, channel: str) -> None:
        if channel in self._wanted:
            _release(self._wanted[channel])
        self._unconfirmed.discard(channel)
        if channel in self._refused:
            self._refused.discard(channel)
            self._on_reconnect()  # what was published until now is missed
        self._report_if_back()

    def _report_if_back(self) -> None:
        if self._lost and not self._unconfirmed:
            self._lost = False
            address = pool_address(self._pool())
            self._log.warning("back", "the connection to Redis at %s is back", address)
            self._on_reconnect()

    def _forget_confirmations(self) -> None:
        loop = asyncio.get_running_loop()
        for channel, confirmed in self._wanted.items():
            if confirmed.done():
                self._wanted[channel] = loop.create_future()


class _Asked:
    """A command that was sent, and how many answers have come."""

    __slots__ = ("answers", "channels", "command")

    def __init__(self, command: str, channels: list[str]) -> None:
        self.command = command
        self.channels = channels
        self.answers = 0

    def is_last(self) -> bool:
        """Count an answer; return whether it was the last one."""
        self.answers += 1
        return self.answers >= len(self.channels)


def _release(confirmed: asyncio.Future[None]) -> None:
    """Let the callers go on that wait for this channel."""
    if not confirmed.done():
        confirmed.set_result(None)

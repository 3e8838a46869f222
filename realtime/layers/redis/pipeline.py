"""Commands and scripts on one Redis: those of one tick are sent in one write, in their order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import hiredis
import msgspec
from msgspec.structs import replace
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ...concurrency import tasks
from ...exceptions import LayerUnavailable
from ...sparse_log import SparseLogs
from .availability import ERRORS, TIMEOUT_SECONDS
from .connection import Command, RedisConnection
from .keys import Keys
from .pools import pool_address
from .refusals import Refused, no_answer, report, unreachable
from .scripts import Call, Script, adopt, all_of

logger = logging.getLogger("realtime.layers.redis")
_unreachable = SparseLogs(logger)
_nameless = SparseLogs(logger)

SECOND_LOOK_SECONDS = 0.1
PROBE_SECONDS = 0.5
MOST_WAITING = 50_000

Convert = Callable[[Any], Any]
"""Makes the result out of the reply of Redis."""

Answer = Callable[[Any], None]
"""Is called once, with the reply of Redis or with a `LayerUnavailable`."""


class _Waiting(msgspec.Struct, frozen=True):
    """A command that was sent, or will be when there is a connection."""

    command: Command
    answer: Answer
    since: float
    script: Script | None = None


class Pipeline:
    """One connection to Redis for all commands of an event loop.

    Nothing blocks: the answer comes as a future, or as a call. It is `LayerUnavailable` when Redis
    does not answer within 2 s; the command may then have been done or not. Commands that are sent
    one after the other are done in that order.
    """

    def __init__(self, pool: Callable[[], ConnectionPool], keys: Keys) -> None:
        self._pool = pool
        self._keys = keys
        self._loop = asyncio.get_running_loop()
        self._connection: RedisConnection | None = None
        # A connection that Redis answers for the last time: commands after it wait for a new one.
        self._retiring: RedisConnection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._unsent: deque[_Waiting] = deque()
        self._sent: deque[_Waiting] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._suspect: _Waiting | None = None
        # After a timeout, commands fail at once until a new connection is there: those of a dead
        # shard must not hold up what is sent together with them to others.
        self._is_down = False

    def send(self, *command: Any, convert: Convert | None = None) -> asyncio.Future[Any]:
        """Send one command."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._send(command, partial(_settle, future, convert))
        return future

    def run(self, call: Call, convert: Convert | None = None) -> asyncio.Future[Any]:
        """Run a script, by its digest if Redis knows it."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._send(call.command, partial(_settle, future, convert), call.script)
        return future

    def run_packed(self, script: Script, command: bytes, answer: Answer) -> None:
        """Run a script by a command that is packed already. `answer` is called as soon as the reply
        is read."""
        self._send(command, answer, script)

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        await tasks.cancel(self._opening)
        connection = self._connection or self._retiring
        self._connection = self._retiring = self._opening = None
        if connection is not None:
            await connection.close()
        self._fail(self._sent, self._unsent)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _send(self, command: Command, answer: Answer, script: Script | None = None) -> None:
        if len(self._sent) + len(self._unsent) >= MOST_WAITING:
            answer(
                LayerUnavailable(
                    "Too many commands wait for Redis, which is too slow: give it more CPU time, or"
                    " name several in `hosts`."
                )
            )
            return
        if not isinstance(command, bytes):
            # Raises for what can't be sent, such as half a surrogate pair in the name of a group,
            # before it counts as a command that Redis will answer.
            command = hiredis.pack_command(command)
        waiting = _Waiting(command, answer, self._loop.time(), script)
        if self._connection is None:
            if self._is_down:
                answer(self._no_answer())
                return
            self._unsent.append(waiting)
            if self._retiring is None:
                self._open_soon()
        else:
            self._sent.append(waiting)
            self._connection.send(command)
        if self._watch is None:
            self._watch = self._loop.call_later(TIMEOUT_SECONDS, self._look_at_the_oldest)

    def _open_soon(self) -> None:
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name="realtime-redis-pipeline")

    async def _open(self) -> None:
        while True:
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    connection = await RedisConnection.open(
                        *(self._pool(), self._on_reply, self._on_lost),
                        first=adopt(self._keys),
                        on_first=self._on_adopted,
                    )
                break
            except ERRORS as error:
                address = pool_address(self._pool())
                _unreachable.warning(
                    address,
                    "%s (%s)",
                    unreachable(error, address),
                    type(error).__name__,
                )
                if isinstance(error, TimeoutError | RedisTimeoutError):
                    self._is_down = True
                if not self._is_down:
                    self._opening = None
                self._fail(self._unsent, error=report(error, address))
                if not self._is_down:
                    return
            await asyncio.sleep(PROBE_SECONDS)
        self._connection, self._opening, self._is_down = connection, None, False
        for script in all_of(self._keys):
            # So that no script has to be sent a second time, behind what came after it.
            self._sent.append(self._nobody_waits())
            connection.send(("SCRIPT", "LOAD", script.text))
        while self._unsent:
            waiting = self._unsent.popleft()
            self._sent.append(waiting)
            connection.send(waiting.command)

    def _on_adopted(self, knows_run: int) -> None:
        if not knows_run:
            address = pool_address(self._pool())
            _nameless.warning(
                address,
                "Redis at %s does not tell when it was restarted, so messages that it lost may go "
                "unnoticed. Allow its user INFO: ACL SETUSER <name> +info",
                address,
            )

    def _on_reply(self, reply: Any) -> None:
        waiting = self._sent.popleft()
        if isinstance(reply, NoScriptError) and waiting.script is not None:
            self._teach(waiting.script, waiting)
            return
        if isinstance(reply, ResponseError):
            # Such as a Redis that is out of memory, or still loading its data.
            reply = report(reply)
            if isinstance(reply, Refused) and reply.needs_new_connection:
                self._retire()
        _answer(waiting, reply)
        if self._retiring is not None and not self._sent:
            self._on_lost()

    def _retire(self) -> None:
        """Use another connection as soon as what was sent on this one is answered."""
        if self._connection is not None:
            self._retiring, self._connection = self._connection, None

    def _nobody_waits(self) -> _Waiting:
        return _Waiting((), _nothing, self._loop.time())

    def _teach(self, script: Script, waiting: _Waiting) -> None:
        """Send the text of a script that Redis does not know. Others that wait for the same script
        are answered likewise, and so keep their order."""
        command = ("EVAL", script.text, *_parts(waiting.command)[2:])
        connection = self._connection or self._retiring
        if connection is not None:
            self._sent.append(replace(waiting, command=command, script=None))
            connection.send(command)
        else:
            self._fail(deque([waiting]))

    def _look_at_the_oldest(self) -> None:
        self._watch = None
        oldest = self._sent or self._unsent
        if not oldest:
            return
        left = oldest[0].since + TIMEOUT_SECONDS - self._loop.time()
        if left > 0.001:
            self._watch = self._loop.call_later(left, self._look_at_the_oldest)
        elif self._suspect is not oldest[0]:
            # After a loop that stood still its clocks ring before it has read what has come.
            self._suspect = oldest[0]
            self._watch = self._loop.call_later(SECOND_LOOK_SECONDS, self._look_at_the_oldest)
        elif self._sent:
            self._is_down = True
            self._open_soon()
            self._on_lost()
        else:
            self._fail(self._unsent)

    def _on_lost(self) -> None:
        """Fail what was sent, which may have been done; new commands open a new connection."""
        connection = self._connection or self._retiring
        self._connection = self._retiring = None
        self._fail(self._sent)
        if connection is not None:
            connection.abort()
            task = asyncio.create_task(connection.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        if self._unsent:
            self._open_soon()

    def _fail(self, *queues: deque[_Waiting], error: LayerUnavailable | None = None) -> None:
        for queue in queues:
            while queue:
                _answer(queue.popleft(), error or self._no_answer())

    def _no_answer(self) -> LayerUnavailable:
        return LayerUnavailable(no_answer(pool_address(self._pool())))


def _parts(command: Command) -> Sequence[Any]:
    if not isinstance(command, bytes):
        return command
    reader = hiredis.Reader()  # a command looks like a reply that is a list
    reader.feed(command)
    parts: list[bytes] = reader.gets()
    return parts


def _answer(waiting: _Waiting, reply: Any) -> None:
    try:
        waiting.answer(reply)
    except Exception:
        # Others wait for the replies behind this one.
        logger.exception("an answer of Redis could not be used")


def _settle(future: asyncio.Future[Any], convert: Convert | None, reply: Any) -> None:
    if future.done():
        return
    if isinstance(reply, LayerUnavailable):
        future.set_exception(reply)
        future.exception()  # no warning from asyncio if the caller has been cancelled
        return
    try:
        future.set_result(reply if convert is None else convert(reply))
    except Exception as error:
        future.set_exception(error)


def _nothing(reply: Any) -> None:
    pass

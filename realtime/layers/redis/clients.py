"""The blocking clients of threads: one for each shard, each call with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Literal, TypeVar

import redis
from redis.exceptions import NoScriptError

from ...exceptions import LayerUnavailable
from .availability import ERRORS, THREAD_TIMEOUT_SECONDS, TIMEOUTS
from .breaker import Breaker, Hangs
from .pools import Host, address_of, create_pool
from .refusals import Refused, no_answer, report
from .repairs import PATIENCE_SECONDS
from .scripts import Call

T = TypeVar("T")

Enough = Literal["all", "one", "none"]
"""From how many of several shards an outcome is waited for, however long it takes."""

WARM_SECONDS = 10.0
"""After a call that succeeded, a client is taken to have an open connection for so long."""


class Clients:
    """Does something with the client of a shard, from any thread.

    redis-py bounds each read and write. What it does to open a connection has no bound: name
    servers, several addresses, Sentinels. So calls that may have to open one run in a thread of
    their own, which is left behind when it takes too long. After a call that took too long, the
    next ones fail at once until Redis answers a probe.
    """

    def __init__(self, hosts: Sequence[Host], first: Callable[[], tuple[Any, ...]]) -> None:
        self._hosts = hosts
        self._first = first
        """Gives the command that is carried out before all others on a new connection. A Redis that
        was master before still knows the scripts: `NOSCRIPT` alone does not tell of a fail-over."""
        self._warm_until: dict[int, float] = {}
        self._late: dict[int, Thread] = {}
        """Calls that were left behind, by their shard."""

    @cached_property
    def _clients(self) -> list[redis.Redis]:
        """One pooled client a shard, safe to use from every thread."""
        return [
            redis.Redis(
                connection_pool=create_pool(redis, {**host, "redis_connect_func": self._introduce})
            )
            for host in self._hosts
        ]

    def _introduce(self, connection: Any) -> None:
        connection.on_connect()
        connection.send_command(*self._first())
        connection.read_response()

    @cached_property
    def _breakers(self) -> list[Breaker]:
        addresses = map(address_of, self._hosts)
        return [
            Breaker(client.ping, address)
            for client, address in zip(self._clients, addresses, strict=True)
        ]

    def do(self, index: int, work: Callable[[redis.Redis], T]) -> T:
        """Return what `work` returns. Raises `LayerUnavailable`, within 1 s for one command."""
        client, breaker, host = self._clients[index], self._breakers[index], self._hosts[index]
        breaker.check()
        try:
            if time.monotonic() < self._warm_until.get(index, 0):
                result = _attempt(client, work, host)
            else:
                result = _in_thread(lambda: _attempt(client, work, host), host)
        except LayerUnavailable as error:
            self._warm_until.pop(index, None)
            if isinstance(error, Hangs):
                breaker.trip()
            raise
        self._warm_until[index] = time.monotonic() + WARM_SECONDS
        return result

    def examine(self, index: int, work: Callable[[redis.Redis], T]) -> T:
        """As `do`, for many commands: the time of each is bounded, that of all is not."""
        self.do(index, lambda client: client.ping())
        return _attempt(self._clients[index], work, self._hosts[index])

    def do_on(
        self,
        indices: Sequence[int],
        work: Callable[[redis.Redis, int], T],
        enough: Enough = "all",
    ) -> dict[int, T | LayerUnavailable]:
        """Do something on several shards at the same time: one that is dead delays no other. Return
        the outcome by the number of the shard.

        If less than all is `enough`, a shard that takes longer than `PATIENCE_SECONDS`, or is late
        with an earlier call, counts as one that does not answer. Its call may still be carried out.
        """
        found: dict[int, T | LayerUnavailable] = {}
        failures: list[Exception] = []

        def do(index: int) -> None:
            try:
                found[index] = self.do(index, lambda client: work(client, index))
            except LayerUnavailable as error:
                found[index] = error
            except Exception as error:
                failures.append(error)

        if len(indices) == 1 and enough == "all":
            do(indices[0])
        else:
            self._do_in_threads(do, indices, enough, lambda: _is_one_done(found))
        if failures:
            raise failures[0]
        return {
            index: found[index] if index in found else self._no_answer(index) for index in indices
        }

    def _no_answer(self, index: int) -> LayerUnavailable:
        return LayerUnavailable(no_answer(address_of(self._hosts[index])))

    def _do_in_threads(
        self,
        do: Callable[[int], None],
        indices: Sequence[int],
        enough: Enough,
        is_one_done: Callable[[], bool],
    ) -> None:
        ended: SimpleQueue[int] = SimpleQueue()

        def do_and_tell(index: int) -> None:
            do(index)
            ended.put(index)

        patience_ends_at = time.monotonic() + PATIENCE_SECONDS
        running = {}
        for index in indices:
            if enough != "all" and index in self._late and self._late[index].is_alive():
                continue
            running[index] = Thread(target=do_and_tell, args=(index,), daemon=True)
            running[index].start()
        while running:
            left = patience_ends_at - time.monotonic()
            is_needed = enough == "all" or (enough == "one" and not is_one_done())
            if left <= 0 and not is_needed:
                break
            with suppress(Empty):
                running.pop(ended.get(timeout=left if left > 0 and not is_needed else None))
        self._late.update(running)


def _is_one_done(found: dict[int, Any]) -> bool:
    return any(not isinstance(each, LayerUnavailable) for each in list(found.values()))


def run(client: redis.Redis, call: Call) -> Any:
    """Run a script, by its digest if Redis knows it."""
    try:
        return client.execute_command(*call.command)  # type: ignore[no-untyped-call]
    except NoScriptError:
        client.execute_command(*call.script.adopt)  # type: ignore[no-untyped-call]
        return client.eval(call.script.text, *call.command[2:])


def _attempt(client: redis.Redis, work: Callable[[redis.Redis], T], host: Host) -> T:
    try:
        return work(client)
    except ERRORS as error:
        if isinstance(error, TIMEOUTS):
            raise Hangs(no_answer(address_of(host))) from error
        reported = report(error, address_of(host))
        if isinstance(reported, Refused) and reported.needs_new_connection:
            client.connection_pool.disconnect(inuse_connections=False)
        raise reported from error


def _in_thread(work: Callable[[], T], host: Host) -> T:
    results: list[T] = []
    failures: list[BaseException] = []

    def run_it() -> None:
        try:
            results.append(work())
        except BaseException as error:
            failures.append(error)

    thread = Thread(target=run_it, name="realtime-redis-client", daemon=True)
    thread.start()
    thread.join(THREAD_TIMEOUT_SECONDS)
    if failures:
        raise failures[0]
    if not results:
        raise Hangs(no_answer(address_of(host)))
    return results[0]

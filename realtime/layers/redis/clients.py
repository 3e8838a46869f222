"""The blocking clients of threads: one for each shard, each call with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from threading import Thread
from typing import Any, TypeVar

import redis
from redis.exceptions import NoScriptError

from ...exceptions import LayerUnavailable
from .availability import ERRORS, TIMEOUT_SECONDS
from .pools import Host, create_pool
from .refusals import Refused, report
from .scripts import Call

T = TypeVar("T")

WARM_SECONDS = 10.0
"""After a call that succeeded, a client is taken to have an open connection for so long."""


class Clients:
    """Does something with the client of a shard, from any thread.

    redis-py bounds each read and write. What it does to open a connection has no bound: name
    servers, several addresses, Sentinels. So calls that may have to open one run in a thread of
    their own, which is left behind when it takes too long.
    """

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._hosts = hosts
        self._warm_until: dict[int, float] = {}

    @cached_property
    def _clients(self) -> list[redis.Redis]:
        """One pooled client a shard, safe to use from every thread."""
        return [redis.Redis(connection_pool=create_pool(redis, host)) for host in self._hosts]

    def do(self, index: int, work: Callable[[redis.Redis], T]) -> T:
        """Return what `work` returns. Raises `LayerUnavailable`, within 2 s for one command."""
        client = self._clients[index]
        try:
            if time.monotonic() < self._warm_until.get(index, 0):
                result = _attempt(client, work)
            else:
                result = _in_thread(lambda: _attempt(client, work))
        except LayerUnavailable:
            self._warm_until.pop(index, None)
            raise
        self._warm_until[index] = time.monotonic() + WARM_SECONDS
        return result

    def do_on(
        self, indices: Sequence[int], work: Callable[[redis.Redis, int], T]
    ) -> dict[int, T | LayerUnavailable]:
        """Do something on several shards at the same time: one that is dead delays no other. Return
        the outcome by the number of the shard."""
        found: dict[int, T | LayerUnavailable] = {}
        failures: list[Exception] = []

        def do(index: int) -> None:
            try:
                found[index] = self.do(index, lambda client: work(client, index))
            except LayerUnavailable as error:
                found[index] = error
            except Exception as error:
                failures.append(error)

        if len(indices) == 1:
            do(indices[0])
        else:
            threads = [Thread(target=do, args=(index,), daemon=True) for index in indices]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]
        return found


def run(client: redis.Redis, call: Call) -> Any:
    """Run a script, by its digest if Redis knows it."""
    try:
        return client.execute_command(*call.command)  # type: ignore[no-untyped-call]
    except NoScriptError:
        return client.eval(call.script.text, *call.command[2:])


def _attempt(client: redis.Redis, work: Callable[[redis.Redis], T]) -> T:
    try:
        return work(client)
    except ERRORS as error:
        reported = report(error)
        if isinstance(reported, Refused) and reported.needs_new_connection:
            client.connection_pool.disconnect(inuse_connections=False)
        raise reported from error


def _in_thread(work: Callable[[], T]) -> T:
    results: list[T] = []
    failures: list[BaseException] = []

    def run_it() -> None:
        try:
            results.append(work())
        except BaseException as error:
            failures.append(error)

    thread = Thread(target=run_it, name="realtime-redis-client", daemon=True)
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    if failures:
        raise failures[0]
    if not results:
        raise LayerUnavailable("Redis does not answer")
    return results[0]

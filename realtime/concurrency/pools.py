"""Pools of threads for blocking calls, shared fairly, that survive calls which never return."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar, cast

from asgiref.sync import sync_to_async

from ..sparse_log import SparseLogs
from .jobs import Job, Thread

logger = logging.getLogger("realtime.threads")
_lost_threads = SparseLogs(logger)

Result = TypeVar("Result")


class TookTooLong(TimeoutError):
    """A call has run for longer than its time limit. Its thread can't be stopped."""

    def __init__(self, message: str, *, in_database: bool = False) -> None:
        super().__init__(message)
        self.in_database = in_database
        """Whether the call was waiting for the database."""


class PoolBusy(TimeoutError):
    """A call was not begun in time, because others hold the threads."""


class Pool:
    """Daemon threads, started when they are needed. Daemons, so that none delays the process's end.

    The calls of one user get at most half of the threads at a time, and those of one hook leave one
    thread to the others. The rest wait; users take turns.

    A call that runs for longer than its limit has lost its thread. Another thread takes its place,
    for up to `replaced` lost threads. A user or a hook that has lost as many threads as the pool
    has gets no more of them until one returns.
    """

    def __init__(self, name: str, size: int, *, replaced: int) -> None:
        self._name = name
        self._size = size
        self._replaced = replaced
        self._lock = threading.Lock()
        self._threads = 0
        """The threads that work or are idle, without those that were lost and replaced."""
        self._lost = 0
        self._idle: list[Thread] = []
        self._waiting: dict[str, dict[str, deque[Job]]] = {}
        """By hook, then by user."""
        self._running_by: Counter[str] = Counter()
        self._lost_by: Counter[str] = Counter()

    @property
    def lost(self) -> int:
        """How many threads are in calls that have run for longer than their limit."""
        return self._lost

    async def run(
        self,
        call: Callable[[], Result],
        *,
        name: str,
        seconds: float,
        patience: float | None,
        user: str | None = None,
        hook: str | None = None,
    ) -> Result:
        """Run `call` for `seconds` at most, after waiting up to `patience` seconds for a thread.

        The log calls it `name`. None for `user` or `hook`: no share, all threads may be used.
        Raises `TookTooLong` or `PoolBusy`. If the caller is cancelled, a call that waits is
        dropped.
        """
        job = Job(self, name, seconds, patience, user, hook)
        try:
            async with asyncio.timeout(seconds) as job.limit:
                executor = cast(Any, job)  # asgiref only submits to it
                return await sync_to_async(call, thread_sensitive=False, executor=executor)()
        except TimeoutError:
            if not job.limit.expired():
                raise  # of the call itself
            raise self._overdue(job) from None
        except asyncio.CancelledError:
            self._abandon(job)
            raise
        finally:
            job.end()

    def _overdue(self, job: Job) -> TimeoutError:
        if job.thread is None or not job.is_limited:
            self._abandon(job)
            return PoolBusy(f"{job.name} was not begun in {job.patience} s")
        in_database = job.thread.is_in_database()
        self._lose(job)
        return TookTooLong(f"{job.name} took more than {job.seconds} s", in_database=in_database)

    def _abandon(self, job: Job) -> None:
        """Nobody waits for the call any more. If it was begun, it is still watched."""
        with self._lock:
            if job.thread is None:
                self._drop(job)
                return
        if not job.future.done() and not job.loop.is_closed():
            job.loop.call_later(max(0.0, job.seconds_left), self._lose, job)

    def _drop(self, job: Job) -> None:
        of_hook = self._waiting.get(job.hook_key, {})
        of_user = of_hook.get(job.user_key, deque())
        with suppress(ValueError):
            of_user.remove(job)
        if not of_user:
            of_hook.pop(job.user_key, None)
        if not of_hook:
            self._waiting.pop(job.hook_key, None)

    def _lose(self, job: Job) -> None:
        """Count the thread of a call that has run for too long as lost, unless it is back."""
        with self._lock:
            thread = job.thread
            if thread is None or thread.job is not job or thread.is_lost:
                return
            thread.is_lost = True
            thread.is_replaced = self._lost < self._replaced
            self._lost += 1
            _add(self._running_by, job, -1)
            _add(self._lost_by, job, 1)
            if thread.is_replaced:
                self._threads -= 1
            self._hand_out()
            lost = self._lost
        _lost_threads.of(job.name).error(
            "%s has not returned after %g s%s; its thread is lost until it does. Lost threads of "
            "the pool %r: %d",
            *(job.name, job.seconds, " in the database" if thread.is_in_database() else ""),
            *(self._name, lost),
        )

    # Called by jobs and threads

    def take(self, job: Job) -> bool:
        """Begin a call now if possible, else keep it. Return whether it was begun."""
        with self._lock:
            if self._may_begin(job) and (thread := self._free_thread()) is not None:
                self._begin(job, thread)
                return True
            of_hook = self._waiting.setdefault(job.hook_key, {})
            of_hook.setdefault(job.user_key, deque()).append(job)
            return False

    def give_back(self, thread: Thread) -> bool:
        """Take a thread back after its call. Return whether it is still needed."""
        with self._lock:
            job, thread.job = thread.job, None
            if job is not None:
                _add(self._lost_by if thread.is_lost else self._running_by, job, -1)
            is_needed = True
            if thread.is_lost:
                self._lost -= 1
                if thread.is_replaced:
                    is_needed = self._threads < self._size
                    self._threads += is_needed
                thread.is_lost = thread.is_replaced = False
            if is_needed:
                self._idle.append(thread)
            if self._waiting:
                self._hand_out()
            return is_needed

    # With the lock

    def _hand_out(self) -> None:
        """Begin as many of the waiting calls as possible."""
        while (job := next(self._ready(), None)) is not None:
            thread = self._free_thread()
            if thread is None:
                return
            self._drop(job)
            # The hook and the user come last now.
            if (of_hook := self._waiting.pop(job.hook_key, None)) is not None:
                self._waiting[job.hook_key] = of_hook
                if (of_user := of_hook.pop(job.user_key, None)) is not None:
                    of_hook[job.user_key] = of_user
            self._begin(job, thread)

    def _ready(self) -> Iterator[Job]:
        for of_hook in self._waiting.values():
            for of_user in of_hook.values():
                if self._may_begin(of_user[0]):
                    yield of_user[0]
                elif not self._has_share(of_user[0].hook, self._size - 1):
                    break  # the others of this hook wait too

    def _may_begin(self, job: Job) -> bool:
        return self._has_share(job.hook, self._size - 1) and self._has_share(
            job.user, (self._size + 1) // 2
        )

    def _has_share(self, key: str | None, most: int) -> bool:
        return key is None or (
            self._running_by[key] < max(1, most) and self._lost_by[key] < self._size
        )

    def _free_thread(self) -> Thread | None:
        if self._idle:
            return self._idle.pop()
        if self._threads >= self._size:
            return None
        self._threads += 1
        return Thread(self, self._name)

    def _begin(self, job: Job, thread: Thread) -> None:
        _add(self._running_by, job, 1)
        job.begin(thread)


def _add(counter: Counter[str], job: Job, number: int) -> None:
    for key in job.shares:
        counter[key] += number
        if not counter[key]:
            del counter[key]

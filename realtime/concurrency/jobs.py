"""The calls and the threads of a pool."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol

_delayed: dict[asyncio.Task[Any] | None, Job] = {}
"""The calls that had to wait for a thread, by the task that wants them."""


def waits_for_thread(task: asyncio.Task[Any]) -> bool:
    """Return whether a task waits for a thread to make its call: nothing has been done yet."""
    job = _delayed.get(task)
    return job is not None and job.thread is None


class Owner(Protocol):
    """The pool that a call is for."""

    def take(self, job: Job) -> bool:
        """Begin a call now if possible, else keep it. Return whether it was begun."""
        ...

    def give_back(self, thread: Thread) -> bool:
        """Take a thread back after its call. Return whether it is still needed."""
        ...


class Job:
    """One call. For asgiref it is the executor, which gets the call with its context."""

    __slots__ = (
        *("_clock", "_task", "_work", "began_at", "future", "hook", "is_limited", "limit"),
        *("loop", "name", "patience", "pool", "seconds", "shares", "thread", "user"),
    )

    def __init__(
        self,
        pool: Owner,
        name: str,
        seconds: float,
        patience: float | None,
        user: str | None,
        hook: str | None,
    ) -> None:
        self.pool = pool
        self.name = name
        self.seconds = seconds
        self.patience = patience
        # A user may be called like a hook.
        self.user = None if user is None else f"user {user}"
        self.hook = None if hook is None else f"hook {hook}"
        self.shares = [key for key in (self.user, self.hook) if key is not None]
        self._task: asyncio.Task[Any] | None = None
        self._clock: asyncio.TimerHandle | None = None
        self.loop = asyncio.get_running_loop()
        self.limit: asyncio.Timeout
        self.future: Future[Any] = Future()
        self.thread: Thread | None = None
        self.began_at = 0.0
        self.is_limited = False
        """Whether `limit` is that of the call, not of its waiting."""

    @property
    def user_key(self) -> str:
        return self.user or ""

    @property
    def hook_key(self) -> str:
        return self.hook or ""

    @property
    def seconds_left(self) -> float:
        return self.began_at + self.seconds - time.monotonic()

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        self._work = work
        self.is_limited = self.pool.take(self)
        if not self.is_limited:
            # Not told by the thread when it begins, because waking up the loop for that is dear.
            self.limit.reschedule(None)
            self._task = asyncio.current_task()
            _delayed[self._task] = self
            self._look_after(self.seconds if self.patience is None else self.patience)
        return self.future

    def begin(self, thread: Thread) -> None:
        self.thread = thread
        self.began_at = time.monotonic()
        thread.job = self
        thread.jobs.put(self)

    def _look_after(self, seconds: float) -> None:
        self._clock = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """A call that had to wait: has it waited, or run, for too long?"""
        if self.thread is not None:
            if (left := self.seconds_left) > 0:
                self._look_after(left)
                return
            self.is_limited = True
        elif self.patience is None:
            self._look_after(self.seconds)
            return
        with suppress(RuntimeError):  # it is over
            self.limit.reschedule(self.loop.time())

    def end(self) -> None:
        """Nobody waits for it any more."""
        if self._clock is not None:
            self._clock.cancel()
            _delayed.pop(self._task, None)

    def run(self) -> Callable[[], None]:
        """Make the call. Return what reports its outcome."""
        future, work = self.future, self._work
        del self._work
        if not future.set_running_or_notify_cancel():
            return _nothing
        try:
            result = work()
        except BaseException as error:
            return partial(future.set_exception, error)
        return partial(future.set_result, result)


def _nothing() -> None:
    pass


class Thread:
    """A thread of a pool."""

    __slots__ = ("_thread", "is_lost", "is_replaced", "job", "jobs")

    def __init__(self, pool: Owner, name: str) -> None:
        self.job: Job | None = None
        self.jobs: SimpleQueue[Job] = SimpleQueue()
        self.is_lost = False
        self.is_replaced = False
        self._thread = threading.Thread(target=self._work, args=(pool,), name=name, daemon=True)
        self._thread.start()

    def is_in_database(self) -> bool:
        """Return whether the thread is inside of Django's code for databases right now."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        while frame is not None:
            if frame.f_globals.get("__name__", "").startswith("django.db.backends."):
                return True
            frame = frame.f_back
        return False

    def _work(self, pool: Owner) -> None:
        is_needed = True
        while is_needed:
            report = self.jobs.get().run()
            # First, because who hears of the outcome may need the thread for the next call.
            is_needed = pool.give_back(self)
            report()
            del report

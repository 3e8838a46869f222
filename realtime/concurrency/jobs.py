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

_waiting_tasks: set[asyncio.Task[Any] | None] = set()


def waits_for_thread(task: asyncio.Task[Any]) -> bool:
    """Return whether a task waits for a thread to make its call: nothing has been done yet."""
    return task in _waiting_tasks


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
        *("_task", "_work", "began_at", "future", "hook", "is_limited", "limit", "loop", "name"),
        *("patience", "pool", "seconds", "shares", "thread", "user"),
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
        self.loop = asyncio.get_running_loop()
        self.limit: asyncio.Timeout
        self.future: Future[Any] = Future()
        self.thread: Thread | None = None
        self.began_at = 0.0
        self.is_limited = False
        """Whether `limit` counts from the beginning of the call, not of its waiting."""

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
            self._task = asyncio.current_task()
            _waiting_tasks.add(self._task)
            waits = self.patience
            self.limit.reschedule(None if waits is None else self.loop.time() + waits)
        return self.future

    def begin(self, thread: Thread) -> None:
        self.thread = thread
        self.began_at = time.monotonic()
        thread.job = self
        thread.jobs.put(self)

    def on_begin(self) -> None:
        """The call has waited: its time limit counts from now on."""
        with suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(self._limit_from_now)

    def stop_waiting(self) -> None:
        if self._task is not None:
            _waiting_tasks.discard(self._task)
            self._task = None

    def _limit_from_now(self) -> None:
        self.stop_waiting()
        with suppress(RuntimeError):  # nobody waits for it any more
            self.limit.reschedule(self.loop.time() + max(0.0, self.seconds_left))
            self.is_limited = True

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

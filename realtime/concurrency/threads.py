"""Where blocking work runs: a few threads for the database, never the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import close_old_connections

from ..conf import realtime_settings

Result = TypeVar("Result")


async def run_in_thread(function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """Run blocking code in one of `DATABASE_THREADS` threads; with 0, in Django's one thread."""
    return await _run("realtime-db", partial(function, *args, **kwargs))


async def run_apart(function: Callable[..., Result], *args: Any) -> Result:
    """As `run_in_thread`, in as many other threads: for what may wait for more than the database,
    so that nobody who needs only that waits behind it."""
    return await _run("realtime-apart", partial(function, *args))


async def call_hook(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a site's hook where it belongs: `async def` on the loop, everything else in a thread."""
    if iscoroutinefunction(function):
        return await function(*args, **kwargs)
    return await run_in_thread(function, *args, **kwargs)


def timeout() -> asyncio.Timeout:
    """The time that one look-up of a user or of rights may take."""
    return asyncio.timeout(realtime_settings.RIGHTS_SECONDS)


async def _run(name: str, call: Callable[[], Result]) -> Result:
    threads = realtime_settings.DATABASE_THREADS
    if not threads:
        return await sync_to_async(call, thread_sensitive=True)()
    fresh = partial(_with_fresh_connections, call)
    return await sync_to_async(fresh, thread_sensitive=False, executor=_executor(name, threads))()


@cache
def _executor(name: str, threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix=name)


def _with_fresh_connections(call: Callable[[], Result]) -> Result:
    close_old_connections()
    try:
        return call()
    finally:
        close_old_connections()


def refuse_on_event_loop(function: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise SynchronousOnlyOperation(
        f"{function}() would block the event loop. In async code, use `await a{function}(...)`."
    )

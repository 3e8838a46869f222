"""Threads for blocking work, which must never run on the event loop."""

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
    """Run blocking code in one of `DATABASE_THREADS` threads; if 0, in Django's only thread."""
    return await _run("realtime-db", partial(function, *args, **kwargs))


async def run_separately(function: Callable[..., Result], *args: Any) -> Result:
    """As `run_in_thread`, in a second pool of the same size. For code that may wait for more than
    the database, so that it can't block the threads for database queries."""
    return await _run("realtime-separate", partial(function, *args))


async def call_hook(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a hook of the site: on the loop if it is an `async def`, else in a thread."""
    if iscoroutinefunction(function):
        return await function(*args, **kwargs)
    return await run_in_thread(function, *args, **kwargs)


def timeout() -> asyncio.Timeout:
    """Limit one look-up of users or rights to `RIGHTS_SECONDS`."""
    return asyncio.timeout(realtime_settings.RIGHTS_SECONDS)


async def _run(name: str, call: Callable[[], Result]) -> Result:
    threads = realtime_settings.DATABASE_THREADS
    if not threads:
        return await sync_to_async(call, thread_sensitive=True)()
    fresh = partial(_without_old_connections, call)
    return await sync_to_async(fresh, thread_sensitive=False, executor=_executor(name, threads))()


@cache
def _executor(name: str, threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix=name)


def _without_old_connections(call: Callable[[], Result]) -> Result:
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

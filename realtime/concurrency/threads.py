"""Threads for blocking work, which must never run on the event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import CO_COROUTINE, iscoroutinefunction
from types import CodeType
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import close_old_connections

from ..conf import realtime_settings
from ..exceptions import HookUnavailable
from ..sparse_log import SparseLogs
from . import eager
from .forks import start_afresh_in_child
from .pools import Pool, PoolBusy, TookTooLong, logger

Result = TypeVar("Result")

FETCHING_THREADS = 2
LOST_PER_THREAD = 4
"""So many lost threads of the site's code are replaced, for each thread of a pool."""

_late_coroutines = SparseLogs(logger)


async def run_in_thread(
    function: Callable[..., Result], *args: Any, seconds: float | None = None
) -> Result:
    """Run a look-up of ours in one of `DATABASE_THREADS` threads; if 0, in Django's only thread.

    It gets `RIGHTS_SECONDS`, or `seconds`, and may wait as long for a thread. Raises `TookTooLong`
    or `PoolBusy`, which are `TimeoutError`s.
    """
    return await _look_up("look-ups", partial(function, *args), seconds)


async def verify_in_thread(function: Callable[..., Result], *args: Any) -> Result:
    """As `run_in_thread`, in the threads that verify tokens."""
    return await _look_up("tokens", partial(function, *args), None)


async def run_separately(function: Callable[..., Result], *args: Any, user: str) -> Result:
    """As `run_in_thread`, in the pool of the site's authenticators and of issuers, which may wait
    for more than the database. `user` shares its threads fairly."""
    seconds = realtime_settings.RIGHTS_SECONDS
    return await _run(
        *("authenticators", partial(function, *args)),
        name=_name(function),
        seconds=seconds,
        patience=seconds,
        user=user,
    )


async def fetch_in_thread(function: Callable[..., Result], *args: Any) -> Result:
    """As `run_in_thread`, in the two threads that fetch the keys of issuers."""
    # `function` ends by itself after `RIGHTS_SECONDS`, unless it hangs in the system's resolver.
    seconds = realtime_settings.RIGHTS_SECONDS + 1
    pool = _pools.get("keys", FETCHING_THREADS, FETCHING_THREADS)
    call = partial(function, *args)
    return await pool.run(call, name=_name(function), seconds=seconds, patience=seconds)


async def ask_rule(
    function: Callable[..., Result],
    *args: Any,
    user: str,
    rule: str,
    patience: float | None,
) -> Result:
    """Run code that asks the site's own `rule` for the rights of a user, for `RIGHTS_SECONDS` at
    most. Raises `TookTooLong`, or `PoolBusy` if it was not begun in `patience` seconds."""
    return await _run(
        *("rules", partial(function, *args)),
        name=rule,
        seconds=realtime_settings.RIGHTS_SECONDS,
        patience=patience,
        user=user,
        hook=rule,
    )


async def call_hook(user: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a hook of the site for a user: on the loop if it is an `async def`, else in a thread.

    It gets `HOOK_SECONDS`, and may wait as long for a thread. Raises `HookUnavailable`.
    """
    if _is_async(function):
        found: list[Any] = []
        rest = eager.start(_keep(found, function(*args, **kwargs)))
        # Most hooks wait for nothing; a clock would cost them a tenth of a round trip.
        if rest is not None:
            await _in_time(rest, function)
        return found[0]
    seconds, name = realtime_settings.HOOK_SECONDS, _name(function)
    call = partial(function, *args, **kwargs)
    try:
        return await _run(
            *("hooks", call), name=name, seconds=seconds, patience=seconds, user=user, hook=name
        )
    except (TookTooLong, PoolBusy) as error:
        raise HookUnavailable(str(error)) from error


def _is_async(function: Callable[..., Any]) -> bool:
    """As `iscoroutinefunction`, which takes five calls, in none for a plain `async def`."""
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType) and code.co_flags & CO_COROUTINE:
        return True
    return iscoroutinefunction(function)


async def _keep(found: list[Any], awaitable: Awaitable[Any]) -> None:
    found.append(await awaitable)


async def _in_time(rest: Awaitable[None], function: Callable[..., Any]) -> None:
    """Wait for the rest of a coroutine of the site, for `HOOK_SECONDS` at most."""
    seconds = realtime_settings.HOOK_SECONDS
    try:
        async with asyncio.timeout(seconds) as limit:
            await rest
    except TimeoutError as error:
        if not limit.expired():
            raise
        name = _name(function)
        _late_coroutines.of(name).error("%s took more than %g s; it was cancelled", name, seconds)
        raise HookUnavailable(f"{name} took too long") from error


def timeout() -> asyncio.Timeout:
    """Limit a coroutine that looks up users or rights to `RIGHTS_SECONDS`."""
    return asyncio.timeout(realtime_settings.RIGHTS_SECONDS)


async def _look_up(pool: str, call: Callable[[], Result], seconds: float | None) -> Result:
    if seconds is None:
        seconds = realtime_settings.RIGHTS_SECONDS
    return await _run(pool, call, name=_name(call), seconds=seconds, patience=seconds)


async def _run(
    pool: str, call: Callable[[], Result], *, name: str, seconds: float, **options: Any
) -> Result:
    is_ours = pool in ("look-ups", "tokens")
    database_threads = realtime_settings.DATABASE_THREADS
    if not database_threads and _wrapper is _without_old_connections:
        return await _run_in_djangos_thread(call, name, seconds)
    threads = max(1, database_threads if is_ours else realtime_settings.HOOK_THREADS)
    fresh = partial(_wrapper, call)
    return await _pools.get(pool, threads, threads if is_ours else LOST_PER_THREAD * threads).run(
        fresh, name=name, seconds=seconds, **options
    )


async def _run_in_djangos_thread(call: Callable[[], Result], name: str, seconds: float) -> Result:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await sync_to_async(call, thread_sensitive=True)()
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TookTooLong(f"{name} took more than {seconds} s") from error


class _Pools:
    """The pools of this process, by their name and size."""

    def __init__(self) -> None:
        self.start_afresh()
        start_afresh_in_child(self)

    def start_afresh(self) -> None:
        self._pools: dict[tuple[str, int, int], Pool] = {}

    def get(self, name: str, threads: int, replaced: int) -> Pool:
        key = (name, threads, replaced)
        # Kept by `setdefault`: two threads may ask first.
        return self._pools.get(key) or self._pools.setdefault(
            key, Pool(f"realtime-{name}", threads, replaced=replaced)
        )


_pools = _Pools()


def _without_old_connections(call: Callable[[], Any]) -> Any:
    close_old_connections()
    try:
        return call()
    finally:
        close_old_connections()


Wrapper = Callable[[Callable[[], Any]], Any]

_wrapper: Wrapper = _without_old_connections


def wrap_calls(wrapper: Wrapper | None) -> None:
    """Let `wrapper` make the calls in threads, in tests that share their database connections with
    them; None: as usual, each thread with its own."""
    global _wrapper
    _wrapper = wrapper or _without_old_connections


def _name(function: Any) -> str:
    """Return the dotted path of a function, also inside of a `partial`."""
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}.{name}"


def refuse_on_event_loop(function: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise SynchronousOnlyOperation(
        f"{function}() would block the event loop. In async code, use `await a{function}(...)`."
    )

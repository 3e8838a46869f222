"""Runs coroutines at once, without a task, up to the first point where they wait.

Most of them finish there. A task for each would cost more than its work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from functools import partial
from inspect import iscoroutine
from typing import Any

Rest = Coroutine[Any, Any, None]
"""The rest of a step that has to wait: await it before the next step. A step that never waits
returns None instead, which saves a coroutine."""


def start(awaitable: Awaitable[None]) -> Awaitable[None] | None:
    """Run `awaitable` until it waits for something. Return the rest, which has to be awaited, or
    None if it has finished. Raises what `awaitable` raises."""
    coroutine = awaitable if iscoroutine(awaitable) else _wait_for(awaitable)
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None
    return _Waiting(coroutine, waits_for)


async def _wait_for(awaitable: Awaitable[None]) -> None:
    await awaitable


class _Waiting(Awaitable[None]):
    """The rest of a coroutine that waits for `waits_for`."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        while True:
            try:
                value = yield waits_for
            except BaseException as error:
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, value)
            try:
                waits_for = step()
            except StopIteration:
                return

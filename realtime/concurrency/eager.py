"""Coroutines that are driven at once, as far as they go without waiting.

Most end there. A task for each of them would cost more than what they do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from functools import partial
from inspect import iscoroutine
from typing import Any

Rest = Coroutine[Any, Any, None]
"""What is left of a step that could not be finished without waiting: await it before the next one.
Steps that never wait return None in its place, and so cost no coroutine."""


def start(awaitable: Awaitable[None]) -> Awaitable[None] | None:
    """Drive `awaitable` up to where it waits for something. Returns what is left of it, which has
    to be awaited, or None where it has come to its end. Raises what it raises."""
    coroutine = awaitable if iscoroutine(awaitable) else _wait_for(awaitable)
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None
    return _Waiting(coroutine, waits_for)


async def _wait_for(awaitable: Awaitable[None]) -> None:
    await awaitable


class _Waiting(Awaitable[None]):
    """What is left of a coroutine that waits for `waits_for`."""

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

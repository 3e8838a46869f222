"""Work in the background that goes on when the layer is away, and calls that come later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ..exceptions import LayerUnavailable

RETRY_SECONDS = 1.0

Work = Callable[[], Awaitable[None]]


async def attempt(work: Work, failure: str, logger: logging.Logger) -> bool:
    """Do some work, and return whether it was done.

    That the layer is away is temporary, and its own log says so. Any other exception is a mistake:
    it is logged as `failure`, with its traceback, and must not end the task that does the work.
    """
    try:
        await work()
    except LayerUnavailable as error:
        logger.debug("%s: %s", failure, error)
        return False
    except Exception:
        logger.exception(failure)
        return False
    return True


async def until_done(work: Work, failure: str, logger: logging.Logger) -> None:
    """Attempt some work until it is done, with a pause after each failure."""
    while not await attempt(work, failure, logger):
        await asyncio.sleep(RETRY_SECONDS)


async def until_available(work: Work) -> None:
    """Do some work as soon as the layer is there. Raises what else the work raises."""
    while True:
        try:
            return await work()
        except LayerUnavailable:
            await asyncio.sleep(RETRY_SECONDS)


class DelayedCalls:
    """Calls that come later, unless they are cancelled all together before."""

    def __init__(self) -> None:
        self._timers: set[asyncio.TimerHandle] = set()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            callback()

        timer = asyncio.get_running_loop().call_later(seconds, run)
        self._timers.add(timer)

    def cancel(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

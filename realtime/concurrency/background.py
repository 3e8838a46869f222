"""Background work that is retried while the layer is unavailable, and delayed calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ..exceptions import LayerUnavailable

RETRY_SECONDS = 1.0

Work = Callable[[], Awaitable[None]]


async def attempt(work: Work, failure: str, logger: logging.Logger) -> bool:
    """Do some work, and return whether it succeeded.

    If the layer is unavailable, which it logs itself, this returns False. Any other exception is a
    bug: it is logged as `failure` with its traceback, and does not end the calling task.
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
    """Attempt some work until it succeeds, with a pause after each failure."""
    while not await attempt(work, failure, logger):
        await asyncio.sleep(RETRY_SECONDS)


async def until_available(work: Work) -> None:
    """Do some work, and retry while the layer is unavailable. Other exceptions are raised."""
    while True:
        try:
            return await work()
        except LayerUnavailable:
            await asyncio.sleep(RETRY_SECONDS)


class DelayedCalls:
    """Delayed calls that can be cancelled all together."""

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

"""What may leave at the end of a turn of the event loop, with what else goes the same way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

logger = logging.getLogger("realtime.tail")


class Tail:
    """Calls back when everything has been handed out that came in the same moment."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._callbacks: list[Callable[[], None]] = []

    def add(self, callback: Callable[[], None]) -> None:
        if not self._callbacks:
            # Behind those who are called in this turn, and those are who hand out.
            self._loop.call_soon(self._loop.call_soon, self._run)
        self._callbacks.append(callback)

    def _run(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback()
            except Exception:
                logger.exception("something could not leave; the rest goes on")

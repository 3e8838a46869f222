"""What may leave at the end of a turn of the event loop, with what else goes the same way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

logger = logging.getLogger("realtime.tail")


class Tail:
    """Calls back in the next turn, when all has been read that came in the same moment: first those
    that hand out, and then those that have something to add to what is handed out.

    A publication and the answer to its sender come from Redis on two connections, within
    microseconds of each other. In one frame they cost half.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_due = False
        self._handing_out: list[Callable[[], None]] = []
        self._adding: list[Callable[[], None]] = []

    def hand_out(self, callback: Callable[[], None]) -> None:
        self._handing_out.append(callback)
        if not self._is_due:
            self._run_soon()

    def add(self, callback: Callable[[], None]) -> None:
        self._adding.append(callback)
        if not self._is_due:
            self._run_soon()

    def _run_soon(self) -> None:
        self._is_due = True
        self._loop.call_soon(self._loop.call_soon, self._run)

    def _run(self) -> None:
        self._is_due = False
        callbacks = self._handing_out + self._adding
        self._handing_out, self._adding = [], []
        for callback in callbacks:
            try:
                callback()
            except Exception:
                logger.exception("something could not leave; the rest goes on")

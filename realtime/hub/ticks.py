"""Runs callbacks in the next tick of the event loop, so that one write carries several frames."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

logger = logging.getLogger("realtime.ticks")

REST = 3
"""While clients leave, fan-out pauses for this many times its last duration."""


class TickQueue:
    """Runs callbacks in the next tick, after everything that has arrived is read: first the
    fan-outs, then the callbacks that add a reply to their frames.

    A publication and the reply to its sender come from Redis on two connections, within
    microseconds of each other. Sent in one frame, they cost half.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_due = False
        self._fan_outs: list[Callable[[], None]] = []
        self._after: list[Callable[[], None]] = []
        self.gives_way = False
        """True if fan-out takes only a part of the time, because clients are leaving."""
        self._resting: asyncio.TimerHandle | None = None

    def give_way(self) -> None:
        """Let fan-out take at most a quarter of the time from now on."""
        self.gives_way = True

    def fan_out(self, callback: Callable[[], None]) -> None:
        self._fan_outs.append(callback)
        if not self._is_due:
            self._run_soon()

    def then(self, callback: Callable[[], None]) -> None:
        self._after.append(callback)
        if not self._is_due:
            self._run_soon()

    def _run_soon(self) -> None:
        self._is_due = True
        self._loop.call_soon(self._loop.call_soon, self._run)

    def _run(self) -> None:
        self._is_due = False
        callbacks = [] if self._resting is not None else self._fan_outs
        if self.gives_way and callbacks:
            self._fan_out_and_rest()
            callbacks = []
        elif callbacks:
            self._fan_outs = []
        after, self._after = self._after, []
        _call(callbacks + after)

    def _fan_out_and_rest(self) -> None:
        fan_outs, self._fan_outs = self._fan_outs, []
        begun = self._loop.time()
        _call(fan_outs)
        now = self._loop.time()
        self._resting = self._loop.call_at(now + REST * (now - begun), self._go_on)

    def _go_on(self) -> None:
        self._resting = None
        if self._fan_outs:
            self._fan_out_and_rest()


def _call(callbacks: list[Callable[[], None]]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception:
            logger.exception("a callback failed; the others go on")

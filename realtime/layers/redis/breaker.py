"""A circuit breaker: while a Redis hangs, calls of threads fail at once instead of waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread

from ...exceptions import LayerUnavailable
from .availability import ERRORS, TIMEOUTS
from .refusals import no_answer

PROBE_SECONDS = 0.5
OPEN_SECONDS = 30.0


class Hangs(LayerUnavailable):
    """Redis did not answer in time, so that the caller has waited."""


class Breaker:
    """Is open from the first call that timed out until a probe is answered.

    So a request that saves, publishes and announces many times waits for a Redis that hangs once.
    The probe runs in a thread of its own: it delays nobody.
    """

    def __init__(self, probe: Callable[[], object], address: str) -> None:
        self._probe = probe
        self._address = address
        self._prober: Thread | None = None

    def check(self) -> None:
        """Raise `LayerUnavailable` while the breaker is open.

        It is open as long as its thread lives, so that a forked process begins with a closed one.
        """
        if self._prober is not None and self._prober.is_alive():
            raise LayerUnavailable(no_answer(self._address))

    def trip(self) -> None:
        """Open it."""
        if self._prober is None or not self._prober.is_alive():
            self._prober = Thread(target=self._run, name="realtime-redis-probe", daemon=True)
            self._prober.start()

    def _run(self) -> None:
        ends = time.monotonic() + OPEN_SECONDS  # then the next caller finds out
        while time.monotonic() < ends:
            time.sleep(PROBE_SECONDS)
            try:
                self._probe()
            except TIMEOUTS:
                continue
            except ERRORS:
                pass  # what fails at once holds up nobody
            return

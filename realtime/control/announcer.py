"""Sends announcements in a thread of its own, so that a request never waits long for Redis."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from django.core.exceptions import ImproperlyConfigured

from ..concurrency.background import RETRY_SECONDS
from ..exceptions import LayerUnavailable
from ..sparse_log import SparseLog

logger = logging.getLogger("realtime.announcements")

WAIT_SECONDS = 1.0
MOST_WAITING = 1_000
KEPT_SECONDS = 60.0


@dataclass(eq=False, slots=True)
class _Waiting:
    send: Callable[[], None]
    since: float = field(default_factory=time.monotonic)
    tried: Event = field(default_factory=Event)


class Announcer:
    """Sends what has been committed, in its order, and again while the layer is unavailable.

    A caller waits until its announcement has been tried, for `WAIT_SECONDS` at most. While one is
    late the others don't wait at all, so a request with many of them is delayed once.
    """

    def __init__(self, on_given_up: Callable[[], None]) -> None:
        self._on_given_up = on_given_up
        self._late, self._failed, self._wrong = (SparseLog(logger) for _ in range(3))
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget everything, as a process does that was forked: it has no thread of the announcer,
        the lock may be held by a thread that it has not, and its parent sends what waits."""
        self._waiting: deque[_Waiting] = deque()
        self._worker: Thread | None = None
        self._lock = Lock()
        self._is_late = False
        self._has_given_up = False

    def submit(self, send: Callable[[], None]) -> None:
        """Call `send` soon, until it raises no `LayerUnavailable` any more, for a minute at most.
        Raises nothing."""
        waiting = _Waiting(send)
        with self._lock:
            self._waiting.append(waiting)
            # A thread that has ended is started again.
            if self._worker is None or not self._worker.is_alive():
                self._worker = Thread(target=self._run, name="realtime-announcer", daemon=True)
                self._worker.start()
            is_late = self._is_late
        if not is_late and not waiting.tried.wait(WAIT_SECONDS):
            self._is_late = True
            self._late.warning(
                "a change is not announced to open connections yet: Redis does not answer"
            )

    def join(self) -> None:
        """Wait until everything is sent or given up."""
        worker = self._worker
        if worker is not None:
            worker.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._worker = None
                    return
                first = self._waiting[0]
            if self._is_done(first):
                with self._lock:
                    self._waiting.popleft()
                first.tried.set()
            else:
                self._is_late = True
                for waiting in list(self._waiting):
                    waiting.tried.set()
                time.sleep(RETRY_SECONDS)
                self._give_up_old()

    def _is_done(self, waiting: _Waiting) -> bool:
        try:
            if self._has_given_up:
                self._on_given_up()
                self._has_given_up = False
            waiting.send()
        except LayerUnavailable:
            if not waiting.tried.is_set():
                self._failed.warning(
                    "a change could not be announced to open connections; retrying"
                )
            return False
        except ImproperlyConfigured as error:
            self._wrong.error("a change could not be announced to open connections: %s", error)
        except Exception:
            logger.exception("a change could not be announced to open connections")
        self._is_late = False
        return True

    def _give_up_old(self) -> None:
        """Keep the queue bounded. Rights are then computed again as a whole later."""
        oldest = time.monotonic() - KEPT_SECONDS
        with self._lock:
            while self._waiting and (
                self._waiting[0].since < oldest or len(self._waiting) > MOST_WAITING
            ):
                self._waiting.popleft()
                self._has_given_up = True

"""Marks of changes that some of several Redis could not take: made up for when they are back."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from threading import Lock, Thread

from ..concurrency.background import RETRY_SECONDS
from ..exceptions import LayerUnavailable, PartlyUnavailable
from ..sparse_log import SparseLog

logger = logging.getLogger("realtime.announcements")

MOST_OWED = 1_000


class OwedMarks:
    """Retries in a thread of its own, for as long as it takes: a Redis that comes back with the
    messages of a room must learn whose rights changed, before they are replayed.

    `mark_all` records a change of all rights, in place of very many.
    """

    def __init__(self, mark_all: Callable[[], None]) -> None:
        self._mark_all = mark_all
        self._log = SparseLog(logger)
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget everything, as a process does that was forked: see `Announcer.start_afresh`."""
        self._owed: deque[Callable[[], None]] = deque()
        self._worker: Thread | None = None
        self._lock = Lock()

    def add(self, retry: Callable[[], None]) -> None:
        self._log.warning(
            "a change could not be recorded in a Redis that does not answer; retrying"
        )
        with self._lock:
            self._owed.append(retry)
            if len(self._owed) > MOST_OWED:
                self._owed = deque([self._mark_all])
            # A thread that has ended is started again.
            if self._worker is None or not self._worker.is_alive():
                self._worker = Thread(target=self._run, name="realtime-marks", daemon=True)
                self._worker.start()

    def join(self) -> None:
        """Wait until everything is recorded."""
        worker = self._worker
        if worker is not None:
            worker.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._owed:
                    self._worker = None
                    return
                first = self._owed[0]
            left = self._what_is_left(first)
            with self._lock:
                if self._owed and self._owed[0] is first:
                    if left is None:
                        self._owed.popleft()
                    else:
                        self._owed[0] = left
            if left is not None:
                time.sleep(RETRY_SECONDS)

    def _what_is_left(self, retry: Callable[[], None]) -> Callable[[], None] | None:
        try:
            retry()
        except PartlyUnavailable as error:
            return error.retry
        except LayerUnavailable:
            return retry
        except Exception:
            logger.exception("a change could not be recorded")
        return None

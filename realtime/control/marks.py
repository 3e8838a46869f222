"""Marks of changes that some of several Redis could not take: made up for when they are back."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..concurrency.backlog import Backlog
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
        self._backlog = Backlog("realtime-marks", self._what_is_left)

    def add(self, retry: Callable[[], None]) -> None:
        self._log.warning(
            "a change could not be recorded in a Redis that does not answer; retrying"
        )
        if len(self._backlog) < MOST_OWED:
            self._backlog.add(retry)
        else:
            self._backlog.add(self._mark_all, in_place_of_all=True)

    def join(self) -> None:
        """Wait until everything is recorded."""
        self._backlog.join()

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

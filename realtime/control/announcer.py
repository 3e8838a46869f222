"""Sends announcements in a thread of its own, so that a request never waits long for Redis."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from django.core.exceptions import ImproperlyConfigured

from ..concurrency.backlog import Backlog
from ..concurrency.forks import start_afresh_in_child
from ..exceptions import LayerUnavailable
from ..sparse_log import SparseLog

logger = logging.getLogger("realtime.announcements")

WAIT_SECONDS = 1.0
EXIT_SECONDS = 10.0
MOST_WAITING = 1_000
KEPT_SECONDS = 60.0


@dataclass(eq=False, slots=True)
class _Waiting:
    send: Callable[[], None]
    since: float = field(default_factory=time.monotonic)
    tried: Event = field(default_factory=Event)
    has_failed: bool = False


class Announcer:
    """Sends what has been committed, in its order, and again while the layer is unavailable.

    A caller waits until its announcement has been tried, for `WAIT_SECONDS` at most. While one is
    late the others don't wait at all, so a request with many of them is delayed once.
    """

    def __init__(self, on_given_up: Callable[[], None]) -> None:
        self._on_given_up = on_given_up
        self._late, self._failed, self._wrong = (SparseLog(logger) for _ in range(3))
        self._backlog = Backlog("realtime-announcer", self._what_is_left)
        self.start_afresh()
        start_afresh_in_child(self)

    def start_afresh(self) -> None:
        self._is_late = False
        self._has_given_up = False

    def submit(self, send: Callable[[], None]) -> None:
        """Call `send` soon, until it raises no `LayerUnavailable` any more, for a minute at most.
        Raises nothing."""
        waiting = _Waiting(send)
        self._backlog.add(waiting)
        if not self._is_late and not waiting.tried.wait(WAIT_SECONDS):
            self._is_late = True
            self._late.warning(
                "a change is not announced to open connections yet: Redis does not answer"
            )

    def wait_until_tried(self) -> None:
        """Wait until all has been tried once, for `EXIT_SECONDS` at most: the process ends now, and
        the thread with it. What has failed is not waited for."""
        until = time.monotonic() + EXIT_SECONDS
        for waiting in self._backlog.items():
            waiting.tried.wait(max(0.0, until - time.monotonic()))

    def join(self) -> None:
        """Wait until everything is sent or given up."""
        self._backlog.join()

    def _what_is_left(self, waiting: _Waiting) -> _Waiting | None:
        if waiting.has_failed and self._give_up_old():
            return None
        if self._is_done(waiting):
            waiting.tried.set()
            return None
        self._is_late = waiting.has_failed = True
        for late in self._backlog.items():
            late.tried.set()
        return waiting

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

    def _give_up_old(self) -> bool:
        """Keep the queue bounded. Rights are then computed again as a whole later. Return whether
        any were given up, from the first one on."""
        oldest, backlog = time.monotonic() - KEPT_SECONDS, self._backlog
        if not backlog.drop_first_while(
            lambda waiting: waiting.since < oldest or len(backlog) > MOST_WAITING
        ):
            return False
        self._has_given_up = True
        return True

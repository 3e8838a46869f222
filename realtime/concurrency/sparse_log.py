"""A log for warnings that can come very often: one line a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable

INTERVAL_SECONDS = 60.0
MOST_KINDS = 1_000


class SparseLog:
    """Logs the first warning of each minute, and counts the others in the next line."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next_at = 0.0
        self._left_out = 0

    def warning(self, message: str, *args: object) -> None:
        now = time.monotonic()
        if now < self._next_at:
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        self._next_at = now + INTERVAL_SECONDS
        if left_out:
            message, args = f"{message} (and %d more since the last line)", (*args, left_out)
        self._logger.warning(message, *args)


class SparseLogs:
    """A `SparseLog` for each kind of warning, for example for each room."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._logs: dict[Hashable, SparseLog] = {}

    def warning(self, kind: Hashable, message: str, *args: object) -> None:
        if kind not in self._logs:
            if len(self._logs) >= MOST_KINDS:
                self._logs.clear()
            self._logs[kind] = SparseLog(self._logger)
        self._logs[kind].warning(message, *args)

"""A log for warnings that anybody on the network can cause: one line a minute."""

from __future__ import annotations

import logging
import time

INTERVAL_SECONDS = 60.0


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

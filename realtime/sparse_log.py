"""A log for lines that anybody on the network can cause: one line a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable

INTERVAL_SECONDS = 60.0
MOST_KINDS = 1_000


class SparseLog:
    """Logs the first line of each minute, and counts the others in the next line.

    Arguments that are functions are called if the line is logged.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next_at = 0.0
        self._left_out = 0

    def warning(self, message: str, *args: object) -> None:
        self._log(logging.WARNING, message, args)

    def error(self, message: str, *args: object, exc_info: bool = False) -> None:
        self._log(logging.ERROR, message, args, exc_info)

    def _log(
        self, level: int, message: str, args: tuple[object, ...], exc_info: bool = False
    ) -> None:
        now = time.monotonic()
        if now < self._next_at:
            self._left_out += 1
            return
        args = tuple(arg() if callable(arg) else arg for arg in args)
        left_out, self._left_out = self._left_out, 0
        self._next_at = now + INTERVAL_SECONDS
        if left_out:
            message, args = f"{message} (and %d more since the last line)", (*args, left_out)
        self._logger.log(level, message, *args, exc_info=exc_info)


class SparseLogs:
    """A `SparseLog` for each kind of line, such as each room, or each hook of the site."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._of_kind: dict[Hashable, SparseLog] = {}

    def warning(self, kind: Hashable, message: str, *args: object) -> None:
        self.of(kind).warning(message, *args)

    def of(self, kind: Hashable) -> SparseLog:
        if kind not in self._of_kind:
            if len(self._of_kind) >= MOST_KINDS:
                self._of_kind.clear()
            self._of_kind[kind] = SparseLog(self._logger)
        return self._of_kind[kind]

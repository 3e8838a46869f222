"""The times of changes of rights, and the sign-ins that have ended, in one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from math import inf
from typing import Any

from ..records import Change, changes_that_concern
from .clock import now_ms


class MemoryChanges:
    """Stores changes of rights and ended sign-ins; see `layers.base.Changes`."""

    _lock: threading.RLock

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._changed: dict[Change, float] = {}
        self._ended: dict[str, float] = {}

    def mark_changes_sync(self, changes: Collection[Change]) -> None:
        with self._lock:
            self._changed.update(dict.fromkeys(changes, now_ms()))

    async def mark_changes(self, changes: Collection[Change], *, gone: bool = False) -> None:
        with self._lock:
            self._changed.update(dict.fromkeys(changes, inf if gone else now_ms()))

    async def last_changes(self, asked: Sequence[tuple[str, str]]) -> list[float]:
        with self._lock:
            return [
                max(self._changed.get(change, -1) for change in changes_that_concern(user, room))
                for user, room in asked
            ]

    def end_sign_in_sync(self, sign_in: str, ttl_seconds: float) -> None:
        now = time.monotonic()
        with self._lock:
            self._ended = {ended: until for ended, until in self._ended.items() if until > now}
            self._ended[sign_in] = now + ttl_seconds

    async def ended_sign_ins(self) -> dict[str, float]:
        now = time.monotonic()
        with self._lock:
            return {ended: until - now for ended, until in self._ended.items() if until > now}

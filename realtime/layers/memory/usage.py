"""The usage of rate limits by users, in one process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any


class MemoryUsage:
    """Adds up what users use; see `layers.base.Usage`."""

    _lock: threading.RLock

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._used: Counter[str] = Counter()

    async def add_usage(self, used: Mapping[str, int]) -> dict[str, int]:
        with self._lock:
            self._used.update(used)
            return {user: self._used[user] for user in used}

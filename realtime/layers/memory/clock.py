"""The clock of publications and changes."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Unix time in ms."""
    return int(time.time() * 1000)

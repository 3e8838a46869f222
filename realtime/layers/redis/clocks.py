"""Compares the clock of this host with those of the Redis that all processes share.

What processes have to agree about goes by the time of Redis. The ends of tokens, of memberships and
of Django sessions go by the clock of each host, because they are times of the day.
"""

from __future__ import annotations

import logging
import socket

from ...sparse_log import SparseLogs

MOST_SECONDS = 5.0
"""A clock that differs by more is reported."""

_log = SparseLogs(logging.getLogger("realtime.layers.redis"))


def compare(place: str, asked_at: float, redis_at: float, answered_at: float) -> None:
    """Report, once a minute, that the time of the Redis at `place` was not between the times at
    which it was asked and at which its answer was read."""
    if asked_at - redis_at > MOST_SECONDS:
        _report(place, asked_at - redis_at, "ahead of")
    elif redis_at - answered_at > MOST_SECONDS:
        _report(place, redis_at - answered_at, "behind")


def _report(place: str, seconds: float, direction: str) -> None:
    _log.warning(
        place,
        "the clock of this host (%s) is %.0f s %s that of Redis at %s: tokens and memberships end"
        " %s here than elsewhere. Synchronise the clocks of all hosts, with NTP for example.",
        socket.gethostname(),
        seconds,
        direction,
        place,
        "earlier" if direction == "ahead of" else "later",
    )

"""Rate limits of each user (commands, bytes), and limit of unauthenticated sockets by address."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass

from ..concurrency import tasks
from ..concurrency.background import attempt
from ..conf import realtime_settings
from ..layers import RoomLayer

logger = logging.getLogger("realtime.limits")

SHARE_SECONDS = 1.0
SHARED_FROM = 0.1
"""A user who uses less than this share of the rate is not reported to other processes."""


@dataclass(slots=True)
class _Bucket:
    """The allowance of a user, which refills with time (a token bucket)."""

    left: float
    at: float
    used: int = 0
    """Since the last report to the other processes."""
    total: int | None = None
    """In all processes at the last report."""


class RateLimit:
    """So much for each user in a second, and so much at once after a rest: two settings.

    The connections of a user share the allowance: at once within a process, and between processes
    within a second, because each reports what busy users have used.
    """

    def __init__(self, layer: RoomLayer, rate: str, burst: str, unit: str) -> None:
        """`rate` and `burst` are names of settings. A rate of 0 means no limit."""
        self._layer = layer
        self._rate_name = rate
        self._burst_name = burst
        self._suffix = "" if unit == "commands" else f" {unit}"
        self._buckets: dict[str, _Bucket] = {}
        self._sharing: asyncio.Task[None] | None = None

    def take(self, user: str, cost: int = 1) -> bool:
        """Use up `cost`, or 1 if so much is not left. Return whether it was left."""
        rate, burst = self._rate, self._burst
        if not rate:
            return True
        bucket = self._bucket(user, rate, burst)
        if cost > burst:
            cost = int(burst)
        if bucket.left < cost:
            bucket.left = max(bucket.left - 1, -burst)
            bucket.used += 1
            return False
        bucket.left -= cost
        bucket.used += cost
        return True

    def owe(self, user: str, cost: int) -> None:
        """Use up `cost` for what is done already. The debt is at most half of the burst: to owe is
        no reason to close a connection."""
        rate, burst = self._rate, self._burst
        if rate:
            bucket = self._bucket(user, rate, burst)
            bucket.left = max(bucket.left - cost, min(bucket.left, -burst / 2))
            bucket.used += cost

    def _bucket(self, user: str, rate: float, burst: float) -> _Bucket:
        now = asyncio.get_running_loop().time()
        bucket = self._buckets.get(user)
        if bucket is None:
            bucket = self._buckets[user] = _Bucket(burst, now)
            if self._sharing is None:
                self._sharing = asyncio.create_task(self._share_often(), name="realtime-limits")
        _fill(bucket, now, rate, burst)
        return bucket

    def is_exhausted(self, user: str) -> bool:
        """Return whether the user went on after being refused, for twice the burst: that is no
        oversight."""
        bucket = self._buckets.get(user)
        return bucket is not None and bucket.left <= -self._burst

    @property
    def _rate(self) -> float:
        return getattr(realtime_settings, self._rate_name)  # type: ignore[no-any-return]

    @property
    def _burst(self) -> float:
        return getattr(realtime_settings, self._burst_name)  # type: ignore[no-any-return]

    async def close(self) -> None:
        await tasks.cancel(self._sharing)
        self._sharing = None

    async def _share_often(self) -> None:
        while True:
            await asyncio.sleep(SHARE_SECONDS)
            await attempt(self._share, "what users have used up could not be shared", logger)

    async def _share(self) -> None:
        self._forget_idle()
        worth_telling = self._rate * SHARED_FROM * SHARE_SECONDS
        used = {
            user + self._suffix: bucket.used
            for user, bucket in self._buckets.items()
            if bucket.used >= worth_telling
        }
        for bucket in self._buckets.values():
            if bucket.used < worth_telling:
                bucket.used, bucket.total = 0, None
        if not used:
            return
        totals = await self._layer.add_usage(used)
        for user, total in totals.items():
            bucket = self._buckets[user.removesuffix(self._suffix)]
            elsewhere = 0 if bucket.total is None else total - bucket.total - used[user]
            bucket.left = max(bucket.left - max(0, elsewhere), -float(self._burst))
            bucket.used -= used[user]
            bucket.total = total

    def _forget_idle(self) -> None:
        now, rate, full = asyncio.get_running_loop().time(), self._rate, self._burst
        for bucket in self._buckets.values():
            _fill(bucket, now, rate, full)
        self._buckets = {
            user: bucket
            for user, bucket in self._buckets.items()
            if bucket.left < full or bucket.used
        }


def _fill(bucket: _Bucket, now: float, rate: float, burst: float) -> None:
    bucket.left = min(burst, bucket.left + (now - bucket.at) * rate)
    bucket.at = now


class UnauthenticatedLimit:
    """Counts sockets that are not authenticated yet: `UNAUTHENTICATED_PER_ADDRESS`. On uvicorn,
    unfinished requests and handshakes count too (`transports/request_heads.py`)."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Return whether one more is allowed. Call `leave` for it in both cases."""
        self._waiting[address] += 1
        limit = realtime_settings.UNAUTHENTICATED_PER_ADDRESS
        return not limit or self._waiting[address] <= limit

    def leave(self, address: str) -> None:
        self._waiting[address] -= 1
        if not self._waiting[address]:
            del self._waiting[address]

    def count(self, address: str) -> int:
        return self._waiting[address]

"""The timeout for Redis, and the translation of its errors to `LayerUnavailable`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .refusals import report

TIMEOUT_SECONDS = 1.9
"""Less than the 2 s that `RoomLayer` promises, so that the error is in time."""

THREAD_TIMEOUT_SECONDS = 0.9
"""For calls from threads: a request that has saved its data waits for Redis one second at most."""

TIMEOUTS = (RedisTimeoutError, TimeoutError)

ERRORS = (RedisError, OSError, TimeoutError)
"""The errors of redis-py and asyncio if Redis can't be reached, times out or refuses."""


@contextmanager
def redis_errors(address: str = "") -> Iterator[None]:
    """Turns the errors of Redis into `LayerUnavailable`."""
    try:
        yield
    except ERRORS as error:
        raise report(error, address) from error


@asynccontextmanager
async def in_time(address: str = "") -> AsyncIterator[None]:
    """As `redis_errors`, and ends what takes longer than `TIMEOUT_SECONDS`."""
    with redis_errors(address):
        async with asyncio.timeout(TIMEOUT_SECONDS):
            yield

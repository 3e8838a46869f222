"""Outcomes that stay apart: one broken key, or one dead shard, fails for itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Collection, Coroutine, Iterable
from typing import Any, TypeVar

from ...exceptions import LayerUnavailable
from ...sparse_log import SparseLogs

T = TypeVar("T")

PATIENCE_SECONDS = 0.5
"""Time to wait for all shards, where one is enough."""

_log = SparseLogs(logging.getLogger("realtime.layers.redis"))


async def outcomes(replies: Iterable[Awaitable[T]]) -> list[T | LayerUnavailable]:
    """Wait for all replies, and return each, or its error in its place."""
    found = await asyncio.gather(*replies, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, LayerUnavailable):
            raise each
    return found  # type: ignore[return-value]


async def one_of(tasks: Collection[asyncio.Task[T]]) -> list[T]:
    """Wait `PATIENCE_SECONDS` for all tasks, and then until one of them has succeeded; return the
    results so far. The others go on. Raises the error of one if all fail."""
    waiting, _ = set(tasks), await asyncio.wait(tasks, timeout=PATIENCE_SECONDS)
    while not any(task.done() and not task.exception() for task in tasks):
        waiting = {task for task in waiting if not task.done()}
        if not waiting:
            await next(iter(tasks))  # raises
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    return [task.result() for task in tasks if task.done() and not task.exception()]


async def answers(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of those who answer in time, of which one is enough."""
    tasks = set(map(asyncio.create_task, work))
    try:
        return await one_of(tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def living(found: Iterable[T | LayerUnavailable]) -> list[T]:
    """Return the outcomes of the shards that answered. Raises `LayerUnavailable` if none did."""
    found = list(found)
    answers = [each for each in found if not isinstance(each, LayerUnavailable)]
    if not answers:
        for each in found:
            if isinstance(each, LayerUnavailable):
                raise each
    return answers


def report_repair(room: str, what: str) -> None:
    """Log that the keys of a room held what this layer has not written."""
    _log.warning(
        (room, what),
        "the room %r starts again without %s: its keys in Redis held data of another program, or"
        " were damaged. Give each program a prefix of its own.",
        room,
        what,
    )

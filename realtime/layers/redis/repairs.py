"""Outcomes that stay apart: one broken key, or one dead shard, fails for itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from typing import TypeVar

from ...exceptions import LayerUnavailable
from ...sparse_log import SparseLogs

T = TypeVar("T")

_log = SparseLogs(logging.getLogger("realtime.layers.redis"))


async def outcomes(replies: Iterable[Awaitable[T]]) -> list[T | LayerUnavailable]:
    """Wait for all replies, and return each, or its error in its place."""
    found = await asyncio.gather(*replies, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, LayerUnavailable):
            raise each
    return found  # type: ignore[return-value]


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

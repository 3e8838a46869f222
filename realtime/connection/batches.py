"""Subscriptions that a client asks for together: prepared at the same time, entered in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

TOGETHER_MAX = 128
"""Each one takes a task while it is prepared."""
RECOVERED_TOGETHER_MAX = 4
"""Each one may hold `RECOVERY_MAX_BYTES` until it is its turn."""


class Turn:
    """The turn of one subscription of a batch, after those before it are answered."""

    __slots__ = ("_begin", "_end", "rules")

    def __init__(self, begin: asyncio.Event, end: asyncio.Event, rules: asyncio.Lock) -> None:
        self._begin = begin
        self._end = end
        self.rules = rules
        """Held while a rule of the site is asked: one client takes one thread at a time."""

    async def wait(self) -> None:
        await self._begin.wait()

    def end(self) -> None:
        """Let the next one have its turn."""
        self._end.set()


def turns(count: int) -> Iterator[Turn]:
    """The turns of a batch."""
    rules, begin = asyncio.Lock(), asyncio.Event()
    begin.set()
    for _ in range(count):
        end = asyncio.Event()
        yield Turn(begin, end, rules)
        begin = end


class Budget:
    """The bytes that one reply may still recover, in all its rooms together."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, size: int) -> bool:
        """Return whether so many bytes fit in."""
        if size > self.left:
            return False
        self.left -= size
        return True


class Recovering(Protocol):
    """The options of a subscription."""

    @property
    def recover(self) -> bool: ...


Item = TypeVar("Item")


def parts(
    items: Iterable[Item], options: Callable[[Item], Recovering | None]
) -> Iterator[Sequence[Item]]:
    """Divide items into batches of subscriptions that follow each other. An item without options
    is none, and comes alone."""
    part: list[Item] = []
    recovered = 0
    for item in items:
        found = options(item)
        recovers = found is not None and found.recover
        if part and (
            found is None
            or len(part) >= TOGETHER_MAX
            or (recovers and recovered >= RECOVERED_TOGETHER_MAX)
        ):
            yield part
            part, recovered = [], 0
        if found is None:
            yield [item]
        else:
            part.append(item)
            recovered += recovers
    if part:
        yield part

"""The publications of one room as they come to this process: in order, each once, none missing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..concurrency import tasks
from ..concurrency.background import until_available
from ..conf import realtime_settings
from ..layers import RoomLayer
from ..layers.records import Page
from ..rooms.publications import Position, Publication

logger = logging.getLogger("realtime.feed")

READ_AT_ONCE = 500
HELD_MAX = 1_000
_NEVER_MS = 2**53


@dataclass(frozen=True, slots=True)
class JoinPoint:
    """Where a subscription begins. `missed` is None where nothing was asked for, or where not all
    of it could be given."""

    position: Position
    missed: list[Publication] | None = None
    missed_since_ms: int = 0
    """When the first of them was published, as a Unix time in ms."""


class Feed:
    """Hands out a room's publications by their offsets, and repairs what the broadcast lost.

    `on_publication` is called for each, in order. `on_lost` is called when the room's numbering has
    begun anew or when a gap can't be filled any more: whoever listens must start again.
    """

    def __init__(
        self,
        room: str,
        layer: RoomLayer,
        on_publication: Callable[[Publication], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.room = room
        self.position: Position | None = None
        self._layer = layer
        self._on_publication = on_publication
        self._on_lost = on_lost
        self._turn = 0  # grows when everything before is void
        self._newest = 0
        self._held: list[tuple[str, Publication]] = []
        self._recent: list[Publication] = []
        self._starting = 0
        self._repairing = asyncio.Lock()
        self._repair: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Find out where the room stands. Call it when the room's broadcasts already come in: what
        arrives meanwhile is held back, so that nothing falls between."""
        if self.position is not None:
            return
        page = await self._layer.history(self.room)
        if self.position is None:
            self.position = page.position
            self._newest = page.position.offset
        held, self._held = self._held, []
        for epoch, publication in held:
            self.accept(epoch, publication)

    async def close(self) -> None:
        await tasks.cancel(self._repair)

    def accept(self, epoch: str, publication: Publication) -> None:
        """Take what was broadcast."""
        if self.position is None:
            # When this is full, the rest is read from the stream.
            if len(self._held) < HELD_MAX:
                self._held.append((epoch, publication))
        elif epoch != self.position.epoch:
            self.lose()
        elif publication.offset == self.position.offset + 1:
            self._hand_out(publication)
        elif publication.offset > self.position.offset:
            self._newest = max(self._newest, publication.offset)
            self._repair_soon()

    def compare(self, actual: Position, asked_at: Position | None) -> None:
        """Take notice of where the room really stands.

        `asked_at` was the feed's position when the layer was asked. What was broadcast since then
        is newer than the answer, so that an answer behind the present position says nothing.
        """
        if self.position is None or asked_at is None or asked_at.epoch != self.position.epoch:
            return
        if actual.epoch != asked_at.epoch or actual.offset < asked_at.offset:
            self.lose()
        elif actual.offset > self.position.offset:
            self._newest = max(self._newest, actual.offset)
            self._repair_soon()

    def lose(self) -> None:
        """Tell everybody to start again."""
        self.forget()
        self._on_lost()

    def forget(self) -> None:
        """Begin anew: nobody listens to what comes until the next `open`."""
        self.position = None
        self._turn += 1
        self._held.clear()
        self._recent.clear()

    async def join_point(self, since: Position | None) -> JoinPoint:
        """Where a subscription begins that joins right now, before anything else is awaited.

        With `since`, `missed` holds every publication after it, or is None if one of them is gone.
        Raises `LayerUnavailable`.
        """
        self._starting += 1
        try:
            while True:
                await self.open()
                turn = self._turn
                missed, since_ms = None, 0
                if since is not None:
                    missed, since_ms = await self._missed(since)
                if turn == self._turn and self.position is not None:
                    return JoinPoint(self.position, missed, since_ms)
        finally:
            self._starting -= 1
            if not self._starting:
                self._recent.clear()

    async def _missed(self, since: Position) -> tuple[list[Publication] | None, int]:
        """All that was missed, or None, and when the first of it was published."""
        limit = realtime_settings.RECOVERY_MAX_MESSAGES
        asked_at = self.position
        page = await self._layer.history(self.room, since=since.offset, limit=limit)
        self.compare(page.position, asked_at)
        found = page.publications
        if not _is_whole(page, since) or _size(found) > realtime_settings.RECOVERY_MAX_BYTES:
            return None, 0
        if self.position is not None and self.position.offset < page.position.offset:
            # What is given here must not come a second time.
            await self._repair_now()
        missed = found + [late for late in self._recent if late.offset > page.position.offset]
        # What came after the reading is newer than any change that was asked for before it.
        return missed, found[0].at_ms if found else _NEVER_MS

    def _hand_out(self, publication: Publication) -> None:
        assert self.position is not None
        self.position = Position(self.position.epoch, publication.offset)
        if self._starting:
            self._recent.append(publication)
        self._on_publication(publication)

    def _repair_soon(self) -> None:
        if self._repair is None or self._repair.done():
            self._repair = asyncio.create_task(self._repair_until_done())

    async def _repair_until_done(self) -> None:
        try:
            await until_available(self._repair_now)
        except Exception:
            # What is kept can't be read: better to say so than to stand still.
            logger.exception("the publications of a room could not be read")
            self.lose()

    async def _repair_now(self) -> None:
        """Read what is missing from the stream and hand it out, before anything later."""
        async with self._repairing:
            while (position := self.position) is not None and position.offset < self._newest:
                turn = self._turn
                page = await self._layer.history(
                    self.room, since=position.offset, limit=READ_AT_ONCE
                )
                if turn == self._turn:
                    self._fill(page)

    def _fill(self, page: Page) -> None:
        """Hand out what was read, except what has come by broadcast meanwhile."""
        assert self.position is not None
        if page.position.epoch != self.position.epoch:
            self.lose()
            return
        for publication in page.publications:
            if publication.offset == self.position.offset + 1:
                self._hand_out(publication)
        read_to = page.publications[-1].offset if page.publications else page.position.offset
        if self.position.offset < read_to:
            logger.info("publications of a room are gone; its subscribers start again")
            self.lose()


def _is_whole(page: Page, since: Position) -> bool:
    """Whether the page holds everything from `since` to where the room stands."""
    missed = range(since.offset + 1, page.position.offset + 1)
    return (
        since.epoch == page.position.epoch
        and since.offset <= page.position.offset
        and [entry.offset for entry in page.publications] == list(missed)
    )


def _size(publications: Sequence[Publication]) -> int:
    return sum(len(publication.body) for publication in publications)

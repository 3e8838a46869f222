"""The publications of one room as they come to this process: in order, each once, none missing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ..concurrency import tasks
from ..concurrency.background import until_available
from ..conf import realtime_settings
from ..layers import RoomLayer
from ..layers.pages import read_page
from ..layers.records import Page
from ..metrics import metrics
from ..rooms.publications import Position, Publication
from .recent import RecentPublications

logger = logging.getLogger("realtime.feed")

READ_AT_ONCE = 500
HELD_MAX = 1_000
_NEVER_MS = 2**53


@dataclass(frozen=True, slots=True)
class JoinPoint:
    """The position at which a subscription begins. `missed` is None if no recovery was asked for,
    or if some of the missed publications are gone."""

    position: Position
    missed: list[Publication] | None = None
    missed_since_ms: int = 0
    """Unix time in ms at which the first of them was published."""
    turn: int = field(default=0, compare=False)

    @property
    def missed_bytes(self) -> int:
        return _size(self.missed or ())


class Feed:
    """Passes on a room's publications in the order of their offsets, and fills gaps.

    `on_publication` is called for each, in order. `on_lost` is called if the room has a new epoch
    or a gap can't be filled any more: then all subscribers must start again.
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
        self._turn = 0  # grows when everything that was read before is void
        self._newest = 0
        self._held: list[tuple[str, Publication]] = []
        self._recent = RecentPublications()
        self._joining = 0
        self._repairing = asyncio.Lock()
        self._repair: asyncio.Task[None] | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read the position of the room. Call it when the room's broadcasts already arrive: they
        are held back until it is known, so that none is lost."""
        if self.position is not None:
            return
        page = await read_page(self._layer, self.room)
        if self.position is None:
            self.position = page.position
            self._newest = page.position.offset
        held, self._held = self._held, []
        for epoch, publication in held:
            self.accept(epoch, publication)

    async def close(self) -> None:
        await tasks.cancel(self._repair)
        await tasks.cancel(self._renewal)

    def accept(self, epoch: str, publication: Publication) -> None:
        """Take a publication that was broadcast."""
        if self.position is None:
            # When this is full, the rest is read from the stream.
            if len(self._held) < HELD_MAX:
                self._held.append((epoch, publication))
        elif epoch != self.position.epoch:
            self.lose()
        elif publication.offset == self.position.offset + 1:
            self._pass_on(publication)
        elif publication.offset > self.position.offset:
            self._newest = max(self._newest, publication.offset)
            self._repair_soon()

    def compare(self, actual: Position, asked_at: Position | None) -> None:
        """Compare the feed with the position of the room in the layer.

        `asked_at` was the feed's position when the layer was asked. Broadcasts since then are newer
        than the answer, so an answer behind the feed's present position means nothing.
        """
        if self.position is None or asked_at is None or asked_at.epoch != self.position.epoch:
            return
        if actual.epoch == asked_at.epoch and actual.offset < asked_at.offset:
            # Redis was set back, whatever it says. Others must not get the same offsets again.
            self._renew_soon(actual.epoch)
            self.lose()
        elif actual.epoch != asked_at.epoch:
            self.lose()
        elif actual.offset > self.position.offset:
            self._newest = max(self._newest, actual.offset)
            self._repair_soon()

    def lose(self) -> None:
        """Ask all subscribers to start again."""
        metrics.gaps["lost"] += 1
        self.forget()
        self._on_lost()

    def forget(self) -> None:
        """Forget the position: broadcasts are ignored until the next `open`."""
        self.position = None
        self._turn += 1
        self._held.clear()
        self._recent.clear()

    async def join_point(self, since: Position | None) -> JoinPoint:
        """The position at which a subscription begins if it joins before anything else is awaited.
        Call it between `begin_joining` and `end_joining`.

        With `since`, `missed` holds every publication after it, or is None if one of them is gone.
        Raises `LayerUnavailable`.
        """
        while True:
            await self.open()
            turn = self._turn
            missed, since_ms = None, 0
            if since is not None:
                missed, since_ms = await self._missed(since)
            if turn == self._turn and self.position is not None:
                return JoinPoint(self.position, missed, since_ms, turn)

    def begin_joining(self) -> None:
        """From now on, remember publications for those who are about to join."""
        self._joining += 1

    def end_joining(self) -> None:
        self._joining -= 1
        if not self._joining:
            self._recent.clear()

    def move_on(self, point: JoinPoint) -> JoinPoint | None:
        """The same point after what was published since; None if it has to be read again."""
        if self.position is None or point.turn != self._turn:
            return None
        if self.position is point.position:
            return point
        missed = point.missed
        if missed is not None:
            late = self.late(point)
            if late is None:
                return None
            missed = missed + late
        return JoinPoint(self.position, missed, point.missed_since_ms, point.turn)

    def late(self, point: JoinPoint) -> list[Publication] | None:
        """What was published since the point was read; None if it was too much to be kept."""
        return self._recent.after(point.position.offset)

    async def _missed(self, since: Position) -> tuple[list[Publication] | None, int]:
        """All missed publications, or None, and when the first of them was published."""
        limit = realtime_settings.RECOVERY_MAX_MESSAGES
        asked_at = self.position
        page = await read_page(self._layer, self.room, since=since.offset, limit=limit)
        self.compare(page.position, asked_at)
        found = page.publications
        if not _is_whole(page, since) or _size(found) > realtime_settings.RECOVERY_MAX_BYTES:
            return None, 0
        if self.position is not None and self.position.offset < page.position.offset:
            # What is returned here must not be delivered a second time.
            await self._repair_now()
        late = self._recent.after(page.position.offset)
        if late is None:
            return await self._missed(since)
        # Publications after the reading are newer than every change that was looked up before it.
        return found + late, found[0].at_ms if found else _NEVER_MS

    def _pass_on(self, publication: Publication) -> None:
        assert self.position is not None
        self.position = Position(self.position.epoch, publication.offset)
        if self._joining:
            self._recent.add(publication)
        self._on_publication(publication)

    def _renew_soon(self, epoch: str) -> None:
        if self._renewal is None or self._renewal.done():
            renew = partial(self._layer.renew, self.room, epoch)
            self._renewal = asyncio.create_task(until_available(renew))

    def _repair_soon(self) -> None:
        if self._repair is None or self._repair.done():
            self._repair = asyncio.create_task(self._repair_until_done())

    async def _repair_until_done(self) -> None:
        try:
            await until_available(self._repair_now)
        except Exception:
            # The stream can't be read: clients are told, because the room would stand still.
            logger.exception("the publications of the room %r could not be read", self.room)
            self.lose()

    async def _repair_now(self) -> None:
        """Read what is missing from the stream and pass it on, before anything later."""
        async with self._repairing:
            while (position := self.position) is not None and position.offset < self._newest:
                turn, newest = self._turn, self._newest
                page = await read_page(
                    self._layer, self.room, since=position.offset, limit=READ_AT_ONCE
                )
                if turn == self._turn:
                    self._fill(page, newest)

    def _fill(self, page: Page, newest: int) -> None:
        """Pass on what was read, except what was broadcast in the same time. `newest` was broadcast
        before."""
        assert self.position is not None
        if page.position.epoch != self.position.epoch:
            self.lose()
            return
        metrics.gaps["repaired"] += 1
        for publication in page.publications:
            if publication.offset == self.position.offset + 1:
                self._pass_on(publication)
        read_to = page.publications[-1].offset if page.publications else page.position.offset
        if self.position.offset < read_to or page.position.offset < newest:
            # The second: a broadcast that was never kept, of another program, or before Redis was
            # set back. Looking for it again would never end.
            logger.info("publications of a room are gone; its subscribers start again")
            self.lose()


def _is_whole(page: Page, since: Position) -> bool:
    """Return whether the page holds everything from `since` to the position of the room. A `since`
    without an epoch is of the present one."""
    missed = range(since.offset + 1, page.position.offset + 1)
    return (
        since.epoch in ("", page.position.epoch)
        and since.offset <= page.position.offset
        and [entry.offset for entry in page.publications] == list(missed)
    )


def _size(publications: Sequence[Publication]) -> int:
    return sum(len(publication.body) for publication in publications)

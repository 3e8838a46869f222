"""The numbered publications of rooms, in one process."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...conf import realtime_settings
from ...exceptions import LayerUnavailable
from ...rooms.publications import NOTHING_KEPT, Position, Publication, Retention
from ..base import PUBLICATION, Append, OnKept
from ..groups import group_name
from ..records import Page
from .clock import now_ms
from .groups import MemoryGroups

PURGE_SECONDS = 60


@dataclass(slots=True)
class _Stream:
    """The numbered publications of a room. The offset stays when they expire."""

    offset: int = 0
    publications: deque[Publication] = field(default_factory=deque)
    expires_at: float = 0.0
    epoch: str = ""
    """The epoch of a room that has started again; others have that of the layer."""

    def expire(self, now: float) -> None:
        if self.publications and self.expires_at <= now:
            self.publications.clear()


class MemoryStreams(MemoryGroups):
    """Appends to the streams of rooms, and reads them; see `layers.base.Streams`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._epoch = uuid.uuid4().hex[:8]
        self._streams: defaultdict[str, _Stream] = defaultdict(_Stream)
        self._once: dict[tuple[str, str], tuple[float, Position]] = {}
        self._purged_at = time.monotonic()

    async def append(
        self, room: str, body: bytes, keep: Retention = NOTHING_KEPT, once: str = ""
    ) -> Position:
        return self.append_sync(room, body, keep, once)

    def append_soon(self, room: str, body: bytes, keep: Retention, on_kept: OnKept) -> None:
        self.append_sync(room, body, keep)
        on_kept(None)

    def append_sync(
        self, room: str, body: bytes, keep: Retention = NOTHING_KEPT, once: str = ""
    ) -> Position:
        now = time.monotonic()
        # One atomic step, so that all members see the same order.
        with self._lock:
            self._purge(now)
            if once and (first := self._first(room, once, now)):
                return first
            stream = self._streams[room]
            stream.expire(now)
            stream.offset += 1
            position = Position(stream.epoch or self._epoch, stream.offset)
            if keep.keeps:
                stream.publications.append(Publication(stream.offset, body, now_ms()))
                while len(stream.publications) > keep.size:
                    stream.publications.popleft()
                stream.expires_at = now + keep.ttl_seconds
            if once:
                until = now + realtime_settings.IDEMPOTENCY_TTL_SECONDS
                self._once[room, once] = (until, position)
            message = {
                "type": PUBLICATION,
                "room": room,
                "epoch": position.epoch,
                "offset": position.offset,
                "body": body,
            }
            self._broadcast(group_name(room), message)
        return position

    def append_all_sync(self, appends: Sequence[Append]) -> list[Position | LayerUnavailable]:
        return [self.append_sync(*append) for append in appends]

    async def history(
        self, room: str, *, since: int | None = None, limit: int = 0, reverse: bool = False
    ) -> Page:
        return self.history_sync(room, since=since, limit=limit, reverse=reverse)

    def history_sync(
        self, room: str, *, since: int | None = None, limit: int = 0, reverse: bool = False
    ) -> Page:
        with self._lock:
            stream = self._streams.get(room) or _Stream()
            stream.expire(time.monotonic())
            kept = list(stream.publications)
            position = Position(stream.epoch or self._epoch, stream.offset)
        if reverse:
            kept = [found for found in kept[::-1] if since is None or found.offset < since]
        else:
            kept = [found for found in kept if since is None or found.offset > since]
        return Page(position, _bounded(kept[:limit]))

    async def positions(self, rooms: Sequence[str]) -> dict[str, Position]:
        return {room: (await self.history(room)).position for room in rooms}

    def earlier_position_sync(self, room: str, ago_seconds: float) -> Position:
        page = self.history_sync(room, limit=realtime_settings.RECOVERY_MAX_MESSAGES, reverse=True)
        since = now_ms() - ago_seconds * 1000
        recent = [kept.offset for kept in page.publications if kept.at_ms >= since]
        return Position(page.position.epoch, recent[-1] - 1) if recent else page.position

    async def age(self, room: str, offset: int) -> float | None:
        page = self.history_sync(room, since=offset - 1, limit=1)
        kept = [each.at_ms for each in page.publications if each.offset == offset]
        return (now_ms() - kept[0]) / 1000 if kept else None

    def heard_sync(self, rooms: Collection[str]) -> set[str]:
        with self._lock:
            return {room for room in rooms if self._groups.get(group_name(room))}

    async def renew(self, room: str, epoch: str) -> None:
        self.renew_sync(room, epoch)

    def renew_sync(self, room: str, epoch: str) -> None:
        with self._lock:
            if epoch == (self._streams[room].epoch or self._epoch):
                self._streams[room] = _Stream(epoch=uuid.uuid4().hex[:8])

    # The lock is held

    def _first(self, room: str, once: str, now: float) -> Position | None:
        until, position = self._once.get((room, once), (0.0, None))
        return position if until > now else None

    def _purge(self, now: float) -> None:
        """Remove expired publications and keys; offsets stay."""
        if now - self._purged_at < PURGE_SECONDS:
            return
        self._purged_at = now
        self._once = {key: kept for key, kept in self._once.items() if kept[0] > now}
        for stream in self._streams.values():
            stream.expire(now)


def _bounded(publications: list[Publication]) -> list[Publication]:
    """The first publications, as many as one call of Redis would return."""
    left = 2 * realtime_settings.RECOVERY_MAX_BYTES
    for index, publication in enumerate(publications):
        left -= len(publication.body)
        if left < 0 and index:
            return publications[:index]
    return publications

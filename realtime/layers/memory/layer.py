"""The room layer of one process: no server needed, nothing shared with other processes."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from channels.layers import BaseChannelLayer

from ...conf import realtime_settings
from ...rooms.publications import NOTHING_KEPT, Position, Publication, Retention
from ..base import PUBLICATION, OnKept
from ..groups import group_name
from ..records import Change, Page, changes_that_concern
from .connections import MemoryConnections
from .presence import MemoryPresence

Message = dict[str, Any]
PURGE_SECONDS = 60


@dataclass(slots=True)
class _Stream:
    """The numbered publications of a room. The number outlives what is kept."""

    offset: int = 0
    publications: deque[Publication] = field(default_factory=deque)
    expires_at: float = 0.0

    def expire(self, now: float) -> None:
        if self.publications and self.expires_at <= now:
            self.publications.clear()


class MemoryRoomLayer(MemoryConnections, MemoryPresence, BaseChannelLayer):  # type: ignore[misc]
    """Rooms within one process. Safe to use from every thread and event loop of it."""

    extensions = ["groups"]

    def __init__(self, **kwargs: Any) -> None:
        MemoryConnections.__init__(self)
        MemoryPresence.__init__(self)
        BaseChannelLayer.__init__(self, **kwargs)
        self._lock = threading.RLock()
        self._channels: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Queue[Message]]] = {}
        self._receivers: dict[str, Callable[[Message], None]] = {}
        self._groups: defaultdict[str, set[str]] = defaultdict(set)
        self._epoch = uuid.uuid4().hex[:8]
        self._streams: defaultdict[str, _Stream] = defaultdict(_Stream)
        self._once: dict[tuple[str, str], tuple[float, Position]] = {}
        self._changed: dict[Change, float] = {}
        self._tickets: dict[str, tuple[float, bytes]] = {}
        self._purged_at = time.monotonic()

    # Channels

    async def new_channel(self, prefix: str = "specific.") -> str:
        channel = f"{prefix}{uuid.uuid4().hex}"
        self._open(channel)
        return channel

    async def receive(self, channel: str) -> Message:
        queue = self._open(channel)
        try:
            return await queue.get()
        except asyncio.CancelledError:
            # As Channels' own layers: who stops receiving has gone.
            self._close(channel)
            raise

    def on_message(
        self,
        channel: str,
        receive: Callable[[Message], None],
        receive_publication: Callable[[str, str, Publication], None],
    ) -> None:
        def take(message: Message) -> None:
            if message["type"] == PUBLICATION:
                publication = Publication(message["offset"], message["body"])
                receive_publication(message["room"], message["epoch"], publication)
            else:
                receive(message)

        with self._lock:
            self._receivers[channel] = take

    async def send(self, channel: str, message: Message) -> None:
        self.require_valid_channel_name(channel)
        with self._lock:
            self._deliver(channel, message)

    async def group_add(self, group: str, channel: str) -> None:
        self.require_valid_group_name(group)
        with self._lock:
            self._groups[group].add(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        with self._lock:
            self._leave(group, channel)

    async def group_send(self, group: str, message: Message) -> None:
        self.require_valid_group_name(group)
        with self._lock:
            self._broadcast(group, message)

    def group_send_sync(self, group: str, message: Message) -> None:
        with self._lock:
            self._broadcast(group, message)

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Nothing here can be disconnected."""

    # Publications

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
        # The lock makes all of this one step, so that all members see one order.
        with self._lock:
            self._purge(now)
            if once and (first := self._first(room, once, now)):
                return first
            stream = self._streams[room]
            stream.expire(now)
            stream.offset += 1
            position = Position(self._epoch, stream.offset)
            if keep.keeps:
                stream.publications.append(Publication(stream.offset, body, _now_ms()))
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
            position = Position(self._epoch, stream.offset)
        if reverse:
            kept = [it for it in kept[::-1] if since is None or it.offset < since]
        else:
            kept = [it for it in kept if since is None or it.offset > since]
        return Page(position, kept[:limit])

    async def positions(self, rooms: Sequence[str]) -> dict[str, Position]:
        return {room: (await self.history(room)).position for room in rooms}

    # Rights that changed

    def mark_changes_sync(self, changes: Collection[Change]) -> None:
        with self._lock:
            self._changed.update(dict.fromkeys(changes, _now_ms()))

    async def mark_changes(self, changes: Collection[Change], *, gone: bool = False) -> None:
        with self._lock:
            self._changed.update(dict.fromkeys(changes, inf if gone else _now_ms()))

    async def last_changes(self, asked: Sequence[tuple[str, str]]) -> list[float]:
        with self._lock:
            return [
                max(self._changed.get(change, -1) for change in changes_that_concern(user, room))
                for user, room in asked
            ]

    # Tickets

    def store_ticket(self, ticket: str, identity: bytes, ttl_seconds: int) -> None:
        now = time.monotonic()
        with self._lock:
            self._tickets = {key: kept for key, kept in self._tickets.items() if kept[0] > now}
            self._tickets[ticket] = (now + ttl_seconds, identity)

    async def redeem_ticket(self, ticket: str) -> bytes | None:
        with self._lock:
            expires_at, identity = self._tickets.pop(ticket, (0.0, b""))
        return identity if expires_at > time.monotonic() else None

    # Within the lock

    def _first(self, room: str, once: str, now: float) -> Position | None:
        until, position = self._once.get((room, once), (0.0, None))
        return position if until > now else None

    def _purge(self, now: float) -> None:
        """Let go of what nobody asks for again; the numbers of rooms stay."""
        if now - self._purged_at < PURGE_SECONDS:
            return
        self._purged_at = now
        self._once = {key: kept for key, kept in self._once.items() if kept[0] > now}
        for stream in self._streams.values():
            stream.expire(now)

    def _open(self, channel: str) -> asyncio.Queue[Message]:
        with self._lock:
            if channel not in self._channels:
                self._channels[channel] = (asyncio.get_running_loop(), asyncio.Queue())
            return self._channels[channel][1]

    def _close(self, channel: str) -> None:
        with self._lock:
            self._channels.pop(channel, None)
            self._receivers.pop(channel, None)
            for group in [name for name, members in self._groups.items() if channel in members]:
                self._leave(group, channel)

    def _leave(self, group: str, channel: str) -> None:
        members = self._groups.get(group, set())
        members.discard(channel)
        if not members:
            self._groups.pop(group, None)

    def _broadcast(self, group: str, message: Message) -> None:
        for channel in self._groups.get(group, ()):
            self._deliver(channel, message)

    def _deliver(self, channel: str, message: Message) -> None:
        if channel not in self._channels:
            return
        loop, queue = self._channels[channel]
        receive = self._receivers.get(channel, queue.put_nowait)
        # Through the loop also from within it: publications of other threads keep their place.
        if not loop.is_closed():
            loop.call_soon_threadsafe(receive, dict(message))


def _now_ms() -> int:
    return int(time.time() * 1000)

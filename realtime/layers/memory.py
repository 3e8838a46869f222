"""The room layer of one process: no server needed, nothing shared with other processes."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections import defaultdict
from typing import Any

from channels.layers import BaseChannelLayer

from ..names import group_name
from ..protocols.messages import Position
from .base import PUBLICATION

Message = dict[str, Any]


class MemoryRoomLayer(BaseChannelLayer):  # type: ignore[misc]
    """Rooms within one process. Safe to use from every thread and event loop of it."""

    extensions = ["groups"]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._lock = threading.RLock()
        self._channels: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Queue[Message]]] = {}
        self._groups: defaultdict[str, set[str]] = defaultdict(set)
        self._epoch = uuid.uuid4().hex[:8]
        self._offsets: defaultdict[str, int] = defaultdict(int)
        self._tickets: dict[str, tuple[float, bytes]] = {}

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

    async def append(self, room: str, body: bytes) -> Position:
        return self.append_sync(room, body)

    def append_sync(self, room: str, body: bytes) -> Position:
        # The lock makes numbering and broadcast one step, so that all members see one order.
        with self._lock:
            self._offsets[room] += 1
            position = Position(self._epoch, self._offsets[room])
            message = {
                "type": PUBLICATION,
                "room": room,
                "epoch": position.epoch,
                "offset": position.offset,
                "body": body,
            }
            self._broadcast(group_name(room), message)
        return position

    async def position(self, room: str) -> Position:
        with self._lock:
            return Position(self._epoch, self._offsets.get(room, 0))

    def store_ticket(self, ticket: str, identity: bytes, ttl_seconds: int) -> None:
        now = time.monotonic()
        with self._lock:
            self._tickets = {key: kept for key, kept in self._tickets.items() if kept[0] > now}
            self._tickets[ticket] = (now + ttl_seconds, identity)

    async def redeem_ticket(self, ticket: str) -> bytes | None:
        with self._lock:
            expires_at, identity = self._tickets.pop(ticket, (0.0, b""))
        return identity if expires_at > time.monotonic() else None

    def _open(self, channel: str) -> asyncio.Queue[Message]:
        with self._lock:
            if channel not in self._channels:
                self._channels[channel] = (asyncio.get_running_loop(), asyncio.Queue())
            return self._channels[channel][1]

    def _close(self, channel: str) -> None:
        with self._lock:
            self._channels.pop(channel, None)
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
        # Through the loop also from within it: publications of other threads keep their place.
        if not loop.is_closed():
            loop.call_soon_threadsafe(queue.put_nowait, dict(message))

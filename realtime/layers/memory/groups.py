"""The channels and groups of one process."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from channels.layers import BaseChannelLayer

from ...concurrency.forks import start_afresh_in_child
from ...rooms.publications import Publication
from ..base import PUBLICATION

Message = dict[str, Any]


class MemoryGroups(BaseChannelLayer):  # type: ignore[misc]
    """A Channels layer whose groups also carry the publications of rooms."""

    extensions = ["groups"]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.start_afresh()
        start_afresh_in_child(self)

    def start_afresh(self) -> None:
        self._lock = threading.RLock()
        self._channels: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Queue[Message]]] = {}
        self._receivers: dict[str, Callable[[Message], None]] = {}
        self._groups: defaultdict[str, set[str]] = defaultdict(set)

    async def new_channel(self, prefix: str = "specific.") -> str:
        channel = f"{prefix}{uuid.uuid4().hex}"
        self._open(channel)
        return channel

    async def receive(self, channel: str) -> Message:
        queue = self._open(channel)
        try:
            return await queue.get()
        except asyncio.CancelledError:
            # Like the layers of Channels: a channel whose receiver is cancelled is closed.
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

    # The lock is held

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
        # Via `call_soon` even on the same loop, so that the order over all threads is kept.
        if not loop.is_closed():
            loop.call_soon_threadsafe(receive, dict(message))

"""The numbered publications of rooms, in Redis."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import redis

from ...exceptions import LayerUnavailable
from ...rooms.publications import Position, Publication, Retention
from ..base import OnKept
from ..records import Page
from . import scripts
from .codec import UNREADABLE, Codec
from .repairs import outcomes, report_repair
from .topology import Topology


class Streams:
    """Appends to the streams of rooms, and reads them; see `layers.base.Streams`."""

    def __init__(self, topology: Topology, codec: Codec) -> None:
        self._topology = topology
        self._keys = topology.keys
        self._codec = codec

    async def append(self, room: str, body: bytes, keep: Retention, once: str) -> Position:
        message = self._codec.pack_publication(room, body)
        call = scripts.append(self._keys, room, message, keep, once)
        pipeline = self._topology.room_pipeline(room)
        position: Position = await pipeline.run(call, scripts.to_position)
        return position

    def append_soon(self, room: str, body: bytes, keep: Retention, on_kept: OnKept) -> None:
        message = self._codec.pack_publication(room, body)
        packed = scripts.packed_append(self._keys, room, message, keep)
        self._topology.room_pipeline(room).run_packed(scripts.APPEND, packed, on_kept)

    def append_sync(self, room: str, body: bytes, keep: Retention, once: str) -> Position:
        message = self._codec.pack_publication(room, body)
        call = scripts.append(self._keys, room, message, keep, once)
        return scripts.to_position(self._topology.run_sync(room, call))

    async def history(self, room: str, since: int | None, limit: int, reverse: bool) -> Page:
        call = scripts.history(self._keys, room, since, limit, reverse)
        if not limit:
            return self._page(room, await self._topology.room_pipeline(room).run(call))
        reply = await self._topology.read_large(room, call)
        try:
            return self._page(room, reply)
        except UNREADABLE:
            await self.renew(room, scripts.to_position(reply).epoch)
        return self._page(room, await self._topology.read_large(room, call))

    def history_sync(self, room: str, since: int | None, limit: int, reverse: bool) -> Page:
        call = scripts.history(self._keys, room, since, limit, reverse)
        reply = self._topology.run_sync(room, call)
        try:
            return self._page(room, reply)
        except UNREADABLE:
            self.renew_sync(room, scripts.to_position(reply).epoch)
        return self._page(room, self._topology.run_sync(room, call))

    async def positions(self, rooms: Sequence[str]) -> dict[str, Position]:
        replies = []
        for room in rooms:
            call = scripts.history(self._keys, room, None, 0, False)
            replies.append(self._topology.room_pipeline(room).run(call))
        pages = {}
        for room, reply in zip(rooms, await outcomes(replies), strict=True):
            if not isinstance(reply, LayerUnavailable):
                pages[room] = self._page(room, reply).position
        return pages

    def earlier_position_sync(self, room: str, ago_seconds: float) -> Position:
        position = self.history_sync(room, None, 0, False).position
        if not position.offset:
            return position
        call = scripts.earlier(self._keys, room, position.offset, ago_seconds)
        return Position(position.epoch, int(self._topology.run_sync(room, call)))

    def heard_sync(self, rooms: Collection[str]) -> set[str]:
        """Redis knows of each pub/sub channel how many processes receive it."""
        asked: dict[int, list[str]] = {}
        for room in rooms:
            asked.setdefault(self._topology.room_index(room), []).append(room)

        def ask(client: redis.Redis, index: int) -> set[str]:
            channels = {self._keys.publications(room)[3]: room for room in asked[index]}
            counts: Any = client.pubsub_numsub(*channels)
            return {channels[name.decode()] for name, count in counts if count}

        heard: set[str] = set()
        for index, found in self._topology.on_shards_sync(ask, list(asked)).items():
            heard.update(asked[index] if isinstance(found, LayerUnavailable) else found)
        return heard

    async def renew(self, room: str, epoch: str) -> None:
        call = scripts.renew(self._keys, room, epoch)
        if await self._topology.room_pipeline(room).run(call):
            report_repair(room, "its history")

    def renew_sync(self, room: str, epoch: str) -> None:
        if self._topology.run_sync(room, scripts.renew(self._keys, room, epoch)):
            report_repair(room, "its history")

    def _page(self, room: str, reply: list[Any]) -> Page:
        """Raises one of `UNREADABLE`."""
        if reply[3]:
            report_repair(room, "its history")
        publications = []
        for offset, at_ms, message in scripts.to_publications(reply):
            written_for, body = self._codec.unpack_publication(message)
            if written_for != room:
                raise ValueError("a publication of another room")
            publications.append(Publication(offset, body, at_ms))
        return Page(scripts.to_position(reply), publications)

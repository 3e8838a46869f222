"""The numbered publications of rooms, in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...rooms.publications import Position, Publication, Retention
from ..base import OnKept
from ..records import Page
from . import scripts
from .codec import Codec
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
        return self._page(await self._topology.room_pipeline(room).run(call))

    def history_sync(self, room: str, since: int | None, limit: int, reverse: bool) -> Page:
        call = scripts.history(self._keys, room, since, limit, reverse)
        return self._page(self._topology.run_sync(room, call))

    async def positions(self, rooms: Sequence[str]) -> dict[str, Position]:
        replies = {}
        for room in rooms:
            call = scripts.history(self._keys, room, None, 0, False)
            replies[room] = self._topology.room_pipeline(room).run(call)
        return {room: scripts.to_position(await reply) for room, reply in replies.items()}

    def _page(self, reply: list[Any]) -> Page:
        publications = [
            Publication(offset, self._codec.unpack_publication(message)[1], at_ms)
            for offset, at_ms, message in scripts.to_publications(reply)
        ]
        return Page(scripts.to_position(reply), publications)

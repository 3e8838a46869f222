"""The numbered publications of rooms, in Redis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import redis

from ...exceptions import LayerUnavailable
from ...rooms.publications import Position, Publication, Retention
from ..base import Append, OnKept
from ..records import Page
from . import scripts
from .codec import UNREADABLE, Codec
from .refusals import report
from .repairs import outcomes, report_repair
from .topology import Topology

MOST_BYTES_AT_ONCE = 1_048_576
"""Of several appends: Redis reads a pipeline as a whole before others get their turn."""


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
        self._topology.room_pipeline(room).run_packed(
            scripts.script(self._keys, "append"), packed, on_kept
        )

    def append_sync(self, room: str, body: bytes, keep: Retention, once: str) -> Position:
        message = self._codec.pack_publication(room, body)
        call = scripts.append(self._keys, room, message, keep, once)
        return scripts.to_position(self._topology.run_sync(room, call))

    def append_all_sync(self, appends: Sequence[Append]) -> list[Position | LayerUnavailable]:
        if len(appends) == 1:
            return [self._attempt(appends[0])]
        on_shard: dict[int, list[int]] = defaultdict(list)
        for number, append in enumerate(appends):
            on_shard[self._topology.room_index(append.room)].append(number)

        def send(client: redis.Redis, index: int) -> list[Position | LayerUnavailable]:
            return self._send_all(client, [appends[number] for number in on_shard[index]])

        found: dict[int, Position | LayerUnavailable] = {}
        for index, outcome in self._topology.on_shards_sync(send, list(on_shard)).items():
            numbers = on_shard[index]
            if isinstance(outcome, LayerUnavailable):
                found |= dict.fromkeys(numbers, outcome)
            else:
                found |= zip(numbers, outcome, strict=True)
        return [found[number] for number in range(len(appends))]

    def _attempt(self, append: Append) -> Position | LayerUnavailable:
        try:
            return self.append_sync(*append)
        except LayerUnavailable as error:
            return error

    def _send_all(
        self, client: redis.Redis, appends: Sequence[Append]
    ) -> list[Position | LayerUnavailable]:
        replies: list[Any] = []
        for part in _parts(appends):
            append = scripts.script(self._keys, "append")
            with client.pipeline(transaction=False) as pipeline:
                pipeline.execute_command(*append.adopt)  # type: ignore[no-untyped-call]
                for number, (room, body, keep, once) in enumerate(part):
                    message = self._codec.pack_publication(room, body)
                    command = scripts.append(self._keys, room, message, keep, once).command
                    if not number:
                        # With its text, so that Redis knows the script of those behind it.
                        command = ("EVAL", append.text, *command[2:])
                    pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
                replies += pipeline.execute(raise_on_error=False)[1:]
        if all(isinstance(reply, Exception) for reply in replies):
            raise replies[0]
        return [
            report(reply) if isinstance(reply, Exception) else scripts.to_position(reply)
            for reply in replies
        ]

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

    async def age(self, room: str, offset: int) -> float | None:
        pipeline, stream = self._topology.room_pipeline(room), self._keys.room(room, "stream")
        # Offset and time are the two parts of an id. One after the other, on one connection.
        found = pipeline.send("XRANGE", stream, f"{offset}", f"{offset}", "COUNT", 1)
        now = await pipeline.send("TIME", convert=scripts.to_seconds)
        for id, _ in await found:
            return float(now - int(id.partition(b"-")[2]) / 1000)
        return None

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


def _parts(appends: Sequence[Append]) -> Iterator[Sequence[Append]]:
    """Divide appends into parts of a size that is sent at once."""
    start, size = 0, 0
    for number, append in enumerate(appends):
        size += len(append.body)
        if size > MOST_BYTES_AT_ONCE and number > start:
            yield appends[start:number]
            start, size = number, len(append.body)
    yield appends[start:]

"""The times of changes of rights, and the sign-ins that have ended, in Redis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import redis

from ...exceptions import LayerUnavailable, PartlyUnavailable
from ..records import Change, changes_that_concern
from . import scripts
from .clients import run
from .pipeline import Pipeline
from .refusals import Refused
from .repairs import answers, living, outcomes
from .topology import Topology

Spread = Mapping[int, Collection[Change]]
"""Changes by the number of the shard that needs them."""


class Changes:
    """Stores changes of rights and ended sign-ins; see `layers.base.Changes`.

    A change is where the publications of its room are, and is lost only together with them: a
    change of all rooms is on every shard. A sign-in that has ended is on every shard, so that any
    one of them is enough.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._keys = topology.keys

    def mark_changes_sync(self, changes: Collection[Change]) -> None:
        self._mark_sync(self._spread(changes))

    def _mark_sync(self, spread: Spread) -> None:
        def mark(client: redis.Redis, index: int) -> None:
            run(client, scripts.mark(self._keys, spread[index], False))

        found = self._topology.on_shards_sync(mark, list(spread), enough="none")
        failed = {
            index: spread[index] for index, each in found.items() if isinstance(each, Exception)
        }
        if failed:
            error = found[next(iter(failed))]
            raise PartlyUnavailable(str(error), partial(self._mark_sync, failed))

    async def mark_changes(self, changes: Collection[Change], gone: bool) -> None:
        pipelines = self._topology.pipelines()
        found = await outcomes(
            pipelines[index].run(scripts.mark(self._keys, wanted, gone))
            for index, wanted in self._spread(changes).items()
        )
        for each in found:
            if isinstance(each, LayerUnavailable):
                raise each

    def _spread(self, changes: Collection[Change]) -> Spread:
        spread: dict[int, list[Change]] = defaultdict(list)
        for user, room in changes:
            if room is None:
                for index in range(self._topology.count):
                    spread[index].append((user, room))
            else:
                spread[self._topology.room_index(room)].append((user, room))
        return spread

    async def last_changes(
        self, asked: Sequence[tuple[str, str]]
    ) -> list[float | LayerUnavailable]:
        found = []
        for user, room in asked:
            keys = [self._keys.change(*change) for change in changes_that_concern(user, room)]
            pipeline = self._topology.room_pipeline(room)
            found.append(pipeline.send("MGET", *keys, convert=scripts.to_last_change))
        return await outcomes(found)

    def end_sign_in_sync(self, sign_in: str, ttl_seconds: float) -> None:
        key = self._keys.ended_sign_ins()

        def end(client: redis.Redis, index: int) -> None:
            now = scripts.to_seconds(client.time())
            if client.type(key) not in (b"zset", b"none"):
                client.delete(key)
            with client.pipeline(transaction=False) as pipeline:
                pipeline.zremrangebyscore(key, "-inf", now)
                pipeline.zadd(key, {sign_in: now + ttl_seconds}, gt=True)
                pipeline.expire(key, int(ttl_seconds) * 2 + 1)
                pipeline.execute()

        living(self._topology.on_shards_sync(end, enough="one").values())

    async def ended_sign_ins(self) -> dict[str, float]:
        ended: dict[str, float] = {}
        for shard in await answers(map(self._ended_on, self._topology.pipelines())):
            for sign_in, seconds in shard.items():
                ended[sign_in] = max(seconds, ended.get(sign_in, 0))
        return ended

    async def _ended_on(self, pipeline: Pipeline) -> dict[str, float]:
        key = self._keys.ended_sign_ins()
        now = scripts.to_seconds(await pipeline.send("TIME"))
        try:
            found: Any = await pipeline.send("ZRANGEBYSCORE", key, now, "+inf", "WITHSCORES")
        except Refused as refused:
            if not refused.is_about_data:
                raise
            await pipeline.send("DEL", key)
            return {}
        pairs = zip(found[::2], found[1::2], strict=True)
        return {sign_in.decode(): float(until) - now for sign_in, until in pairs}

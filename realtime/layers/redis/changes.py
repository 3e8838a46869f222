"""The times of changes of rights, and the sign-ins that have ended, in Redis."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..records import Change, changes_that_concern
from . import scripts
from .topology import Topology


class Changes:
    """Stores changes of rights and ended sign-ins; see `layers.base.Changes`.

    A change is on every shard: it is needed where the publications of a room are, and is lost only
    together with them.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._keys = topology.keys

    def mark_changes_sync(self, changes: Collection[Change]) -> None:
        self._topology.run_everywhere_sync(scripts.mark(self._keys, changes, False))

    async def mark_changes(self, changes: Collection[Change], gone: bool) -> None:
        for pipeline in self._topology.pipelines():
            await pipeline.run(scripts.mark(self._keys, changes, gone))

    async def last_changes(self, asked: Sequence[tuple[str, str]]) -> list[float]:
        found = []
        for user, room in asked:
            keys = [self._keys.change(*change) for change in changes_that_concern(user, room)]
            pipeline = self._topology.room_pipeline(room)
            found.append(pipeline.send("MGET", *keys, convert=scripts.to_last_change))
        return [await last_change for last_change in found]

    def end_sign_in_sync(self, sign_in: str, ttl_seconds: float) -> None:
        key = self._keys.ended_sign_ins()
        with self._topology.client(key) as client:
            now = scripts.to_seconds(client.time())
            with client.pipeline(transaction=False) as pipeline:
                pipeline.zremrangebyscore(key, "-inf", now)
                pipeline.zadd(key, {sign_in: now + ttl_seconds}, gt=True)
                pipeline.expire(key, int(ttl_seconds) * 2 + 1)
                pipeline.execute()

    async def ended_sign_ins(self) -> dict[str, float]:
        key = self._keys.ended_sign_ins()
        pipeline = self._topology.pipeline(key)
        now = scripts.to_seconds(await pipeline.send("TIME"))
        found = await pipeline.send("ZRANGEBYSCORE", key, now, "+inf", "WITHSCORES")
        pairs = zip(found[::2], found[1::2], strict=True)
        return {sign_in.decode(): float(until) - now for sign_in, until in pairs}

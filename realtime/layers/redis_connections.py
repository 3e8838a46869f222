"""The live connections of all processes, as `RedisRoomLayer` writes them down."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import RedisError

from ..exceptions import LayerUnavailable
from . import scripts
from .base import LiveProcess
from .commands import available, run, run_all
from .shards import RoomShard, ShardedLayer

USAGE_TTL_MS = 10_000


class RedisConnections(ShardedLayer):
    """A part of `RedisRoomLayer`.

    Of each process: until when it is alive (on every shard), who it is, and its connections. Of
    each user: the connections and their processes, which is what is counted.
    """

    async def admit(
        self, process: str, connections: Sequence[tuple[str, str]], limit: int
    ) -> list[bool]:
        of_shard: defaultdict[RoomShard, list[int]] = defaultdict(list)
        for index, (_, user) in enumerate(connections):
            of_shard[self._shard(self._keys.user(user, "connections"))].append(index)
        admitted = [False] * len(connections)
        for shard, indexes in of_shard.items():
            calls = [
                scripts.admit(self._keys, process, *connections[index], limit) for index in indexes
            ]
            async with available(), shard.busy:
                replies = await run_all(shard.commands, calls)
            for index, reply in zip(indexes, replies, strict=True):
                admitted[index] = bool(reply)
        return admitted

    async def beat(self, process: str, info: bytes, ttl_seconds: float) -> bool:
        ttl_ms = int(ttl_seconds * 1000)
        known = True
        for shard in self._get_layer()._shards:
            async with available(), shard.busy:
                reply = await run(shard.commands, scripts.heartbeat(self._keys, process, ttl_ms))
            known = known and bool(reply)
        about, connections = self._process_keys(process)
        shard = self._shard(about)
        async with available(), shard.busy, shard.commands.pipeline(transaction=False) as pipeline:
            if ttl_ms:
                pipeline.set(about, self.serialize({"info": info}), px=ttl_ms)
                pipeline.pexpire(connections, ttl_ms)
            else:
                pipeline.delete(about, connections)
            await pipeline.execute()
        return known

    async def write_connections(
        self,
        process: str,
        present: Mapping[str, bytes],
        ended: Mapping[str, str],
        ttl_seconds: float,
    ) -> None:
        for user_shard, gone in self._by_user_shard(ended).items():
            pipeline = user_shard.commands.pipeline(transaction=False)
            for client, user in gone:
                pipeline.hdel(self._keys.user(user, "connections"), client)
            async with available(), user_shard.busy, pipeline:
                await pipeline.execute()
        about, connections = self._process_keys(process)
        shard = self._shard(about)
        async with available(), shard.busy, shard.commands.pipeline(transaction=False) as pipeline:
            if ended:
                pipeline.hdel(connections, *ended)
            if present:
                hidden: Any = {
                    client: self.serialize({"info": info}) for client, info in present.items()
                }
                pipeline.hset(connections, mapping=hidden)
                pipeline.pexpire(connections, int(ttl_seconds * 1000))
            await pipeline.execute()

    def live_processes_sync(self) -> list[LiveProcess]:
        try:
            first = self._sync_clients[0]
            now_ms = int(_now(first.time()) * 1000)
            names: Any = first.zrangebyscore(self._keys.processes(), f"({now_ms}", "+inf")
            found = (self._process(name.decode()) for name in names)
            return [process for process in found if process is not None]
        except RedisError as error:
            raise LayerUnavailable("Redis does not answer") from error

    def end_sign_in_sync(self, sign_in: str, ttl_seconds: float) -> None:
        key = self._keys.ended_sign_ins()
        try:
            client = self._sync_clients[self._offline._shards.index(self._offline._get_shard(key))]
            now = _now(client.time())
            with client.pipeline(transaction=False) as pipeline:
                pipeline.zremrangebyscore(key, "-inf", now)
                pipeline.zadd(key, {sign_in: now + ttl_seconds}, gt=True)
                pipeline.expire(key, int(ttl_seconds) * 2 + 1)
                pipeline.execute()
        except RedisError as error:
            raise LayerUnavailable("Redis does not answer") from error

    async def ended_sign_ins(self) -> dict[str, float]:
        key = self._keys.ended_sign_ins()
        shard: RoomShard = self._get_layer()._get_shard(key)
        async with available(), shard.busy:
            now = _now(await shard.commands.time())
            found: Any = await shard.commands.zrangebyscore(key, now, "+inf", withscores=True)
        return {sign_in.decode(): until - now for sign_in, until in found}

    async def add_usage(self, used: Mapping[str, int]) -> dict[str, int]:
        totals: dict[str, int] = {}
        for shard, users in self._by_user_shard({user: user for user in used}).items():
            pipeline = shard.commands.pipeline(transaction=False)
            for user, _ in users:
                key = self._keys.user(user, "commands")
                pipeline.incrby(key, used[user])
                pipeline.pexpire(key, USAGE_TTL_MS)
            async with available(), shard.busy, pipeline:
                replies = await pipeline.execute()
            totals |= {
                user: int(total) for (user, _), total in zip(users, replies[::2], strict=True)
            }
        return totals

    def _process(self, name: str) -> LiveProcess | None:
        about, connections = self._process_keys(name)
        shard = self._offline._shards.index(self._offline._get_shard(_owner(about)))
        with self._sync_clients[shard].pipeline(transaction=False) as pipeline:
            pipeline.get(about)
            pipeline.hvals(connections)
            info, hidden = pipeline.execute()
        if info is None:
            return None
        return LiveProcess(self._shown(info), [self._shown(it) for it in hidden])

    def _shown(self, hidden: bytes) -> bytes:
        info: bytes = self.deserialize(hidden)["info"]
        return info

    def _process_keys(self, process: str) -> tuple[str, str]:
        return self._keys.process(process, "about"), self._keys.process(process, "connections")

    def _shard(self, key: str) -> RoomShard:
        shard: RoomShard = self._get_layer()._get_shard(_owner(key))
        return shard

    def _by_user_shard(self, users: Mapping[str, str]) -> dict[RoomShard, list[tuple[str, str]]]:
        """Pairs of a client and its user, by where the user's keys lie. Nobody is not counted."""
        of_shard: defaultdict[RoomShard, list[tuple[str, str]]] = defaultdict(list)
        for client, user in users.items():
            if user:
                of_shard[self._shard(self._keys.user(user, "connections"))].append((client, user))
        return of_shard


def _owner(key: str) -> str:
    """What keys of one process, and of one user, have in common: they lie together."""
    return key.rpartition(":")[0]


def _now(reply: Any) -> float:
    """The clock of Redis: Unix time in seconds."""
    seconds, microseconds = reply
    return float(seconds + microseconds / 1_000_000)

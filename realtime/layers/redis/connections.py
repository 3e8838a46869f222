"""The live connections of all processes, as `RedisRoomLayer` writes them down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import RedisError

from ...exceptions import LayerUnavailable
from ..records import StoredProcess
from . import scripts
from .topology import RoomShard, ShardedLayer

USAGE_TTL_MS = 10_000


class RedisConnections(ShardedLayer):
    """A part of `RedisRoomLayer`.

    Of each process: until when it is alive (on every shard), who it is, and its connections. Of
    each user: the connections and their processes, which is what is counted.
    """

    async def admit(
        self, process: str, connections: Sequence[tuple[str, str]], limit: int
    ) -> list[bool]:
        replies = []
        for client, user in connections:
            commands = self._shard(self._keys.user(user, "connections")).commands
            call = scripts.admit(self._keys, process, client, user, limit)
            replies.append(commands.run(call, bool))
        return [await reply for reply in replies]

    async def beat(self, process: str, info: bytes, ttl_seconds: float) -> bool:
        ttl_ms = int(ttl_seconds * 1000)
        beats = [
            shard.commands.run(scripts.heartbeat(self._keys, process, ttl_ms), bool)
            for shard in self._get_layer()._shards
        ]
        about, connections = self._process_keys(process)
        commands = self._shard(about).commands
        if ttl_ms:
            commands.send("PEXPIRE", connections, ttl_ms)
            await commands.send("SET", about, self.serialize({"info": info}), "PX", ttl_ms)
        else:
            await commands.send("DEL", about, connections)
        return all([await known for known in beats])

    async def write_connections(
        self,
        process: str,
        present: Mapping[str, bytes],
        ended: Mapping[str, str],
        ttl_seconds: float,
    ) -> None:
        about, connections = self._process_keys(process)
        commands = self._shard(about).commands
        written = []
        for client, user in ended.items():
            if user:
                key = self._keys.user(user, "connections")
                written.append(self._shard(key).commands.send("HDEL", key, client))
        if ended:
            written.append(commands.send("HDEL", connections, *ended))
        if present:
            hidden: list[Any] = []
            for client, info in present.items():
                hidden += [client, self.serialize({"info": info})]
            written.append(commands.send("HSET", connections, *hidden))
            written.append(commands.send("PEXPIRE", connections, int(ttl_seconds * 1000)))
        for done in written:
            await done

    def live_processes_sync(self) -> list[StoredProcess]:
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
        commands = self._get_layer()._get_shard(key).commands
        now = _now(await commands.send("TIME"))
        found = await commands.send("ZRANGEBYSCORE", key, now, "+inf", "WITHSCORES")
        pairs = zip(found[::2], found[1::2], strict=True)
        return {sign_in.decode(): float(until) - now for sign_in, until in pairs}

    async def add_usage(self, used: Mapping[str, int]) -> dict[str, int]:
        totals = {}
        for user, count in used.items():
            key = self._keys.user(user, "commands")
            commands = self._shard(key).commands
            totals[user] = commands.send("INCRBY", key, count)
            commands.send("PEXPIRE", key, USAGE_TTL_MS)
        return {user: await total for user, total in totals.items()}

    def _process(self, name: str) -> StoredProcess | None:
        about, connections = self._process_keys(name)
        shard = self._offline._shards.index(self._offline._get_shard(_owner(about)))
        with self._sync_clients[shard].pipeline(transaction=False) as pipeline:
            pipeline.get(about)
            pipeline.hvals(connections)
            info, hidden = pipeline.execute()
        if info is None:
            return None
        return StoredProcess(self._shown(info), [self._shown(it) for it in hidden])

    def _shown(self, hidden: bytes) -> bytes:
        info: bytes = self.deserialize(hidden)["info"]
        return info

    def _process_keys(self, process: str) -> tuple[str, str]:
        return self._keys.process(process, "about"), self._keys.process(process, "connections")

    def _shard(self, key: str) -> RoomShard:
        shard: RoomShard = self._get_layer()._get_shard(_owner(key))
        return shard


def _owner(key: str) -> str:
    """What keys of one process, and of one user, have in common: they lie together."""
    return key.rpartition(":")[0]


def _now(reply: Any) -> float:
    """The clock of Redis: Unix time in seconds."""
    seconds, microseconds = map(int, reply)
    return seconds + microseconds / 1_000_000

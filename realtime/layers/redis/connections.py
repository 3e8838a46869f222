"""The live connections of all processes, in Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..records import StoredProcess
from . import scripts
from .codec import Codec
from .keys import owner
from .pipeline import Pipeline
from .topology import Topology


class Connections:
    """Counts and lists connections; see `layers.base.Connections`.

    Redis holds of each process its time to live (on every shard), its description and its
    connections; and of each user the connections that count, with their processes.
    """

    def __init__(self, topology: Topology, codec: Codec) -> None:
        self._topology = topology
        self._keys = topology.keys
        self._codec = codec

    async def admit(
        self, process: str, connections: Sequence[tuple[str, str]], limit: int
    ) -> list[bool]:
        replies = []
        for client, user in connections:
            pipeline = self._pipeline(self._keys.user(user, "connections"))
            call = scripts.admit(self._keys, process, client, user, limit)
            replies.append(pipeline.run(call, bool))
        return [await reply for reply in replies]

    async def beat(self, process: str, info: bytes, ttl_seconds: float) -> bool:
        ttl_ms = int(ttl_seconds * 1000)
        beats = [
            pipeline.run(scripts.heartbeat(self._keys, process, ttl_ms), bool)
            for pipeline in self._topology.pipelines()
        ]
        about, connections = self._process_keys(process)
        pipeline = self._pipeline(about)
        if ttl_ms:
            pipeline.send("PEXPIRE", connections, ttl_ms)
            await pipeline.send("SET", about, self._codec.pack_info(info), "PX", ttl_ms)
        else:
            await pipeline.send("DEL", about, connections)
        return all([await known for known in beats])

    async def write_connections(
        self,
        process: str,
        present: Mapping[str, bytes],
        ended: Mapping[str, str],
        ttl_seconds: float,
    ) -> None:
        about, connections = self._process_keys(process)
        pipeline = self._pipeline(about)
        written = []
        for client, user in ended.items():
            if user:
                key = self._keys.user(user, "connections")
                written.append(self._pipeline(key).send("HDEL", key, client))
        if ended:
            written.append(pipeline.send("HDEL", connections, *ended))
        if present:
            fields: list[Any] = []
            for client, info in present.items():
                fields += [client, self._codec.pack_info(info)]
            written.append(pipeline.send("HSET", connections, *fields))
            written.append(pipeline.send("PEXPIRE", connections, int(ttl_seconds * 1000)))
        for done in written:
            await done

    def live_processes_sync(self) -> list[StoredProcess]:
        processes = [self._process(name) for name in self._live_names()]
        return [process for process in processes if process is not None]

    def _live_names(self) -> list[str]:
        # Every shard holds the processes that are alive; the first one is as good as any.
        with self._topology.first_client() as client:
            now_ms = int(scripts.to_seconds(client.time()) * 1000)
            names: Any = client.zrangebyscore(self._keys.processes(), f"({now_ms}", "+inf")
            return [name.decode() for name in names]

    def _process(self, name: str) -> StoredProcess | None:
        """A process, unless it has ended."""
        about, connections = self._process_keys(name)
        with (
            self._topology.client(owner(about)) as client,
            client.pipeline(transaction=False) as pipeline,
        ):
            pipeline.get(about)
            pipeline.hvals(connections)
            info, infos = pipeline.execute()
        if info is None:
            return None
        return StoredProcess(
            self._codec.unpack_info(info), list(map(self._codec.unpack_info, infos))
        )

    def _process_keys(self, process: str) -> tuple[str, str]:
        return self._keys.process(process, "about"), self._keys.process(process, "connections")

    def _pipeline(self, key: str) -> Pipeline:
        return self._topology.pipeline(owner(key))

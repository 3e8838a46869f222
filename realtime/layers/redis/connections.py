"""The live connections of all processes, in Redis."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import redis

from ...exceptions import LayerUnavailable
from ...sparse_log import SparseLogs
from ..records import StoredProcess
from . import clocks, scripts
from .codec import Codec
from .keys import owner
from .pipeline import Pipeline
from .refusals import Refused, report
from .repairs import living, outcomes
from .topology import Topology

_log = SparseLogs(logging.getLogger("realtime.layers.redis"))


class Connections:
    """Counts and lists connections; see `layers.base.Connections`.

    Redis holds of each process its time to live (on every shard), its description and its
    connections; and of each user the connections that count, with their processes. While the shard
    of a user is dead, another one counts: the limit then holds on each of the two.
    """

    def __init__(self, topology: Topology, codec: Codec) -> None:
        self._topology = topology
        self._keys = topology.keys
        self._codec = codec
        self._elsewhere: dict[str, int] = {}
        """The shards of connections that are not counted on the shard of their user."""

    async def admit(
        self, process: str, connections: Sequence[tuple[str, str]], limit: int
    ) -> list[bool | LayerUnavailable]:
        found = await self._admit_on(
            [self._index(self._keys.user(user, "connections")) for _, user in connections],
            process,
            connections,
            limit,
        )
        if limit and self._topology.count > 1:
            await self._admit_elsewhere(found, process, connections, limit)
        return found

    async def _admit_on(
        self,
        indices: Sequence[int],
        process: str,
        connections: Sequence[tuple[str, str]],
        limit: int,
    ) -> list[bool | LayerUnavailable]:
        pipelines = self._topology.pipelines()
        return await outcomes(
            pipelines[index].run(scripts.admit(self._keys, process, client, user, limit), bool)
            for index, (client, user) in zip(indices, connections, strict=True)
        )

    async def _admit_elsewhere(
        self,
        found: list[bool | LayerUnavailable],
        process: str,
        connections: Sequence[tuple[str, str]],
        limit: int,
    ) -> None:
        """Count the connections whose shard does not answer on the next shard that does."""
        count = self._topology.count
        for step in range(1, count):
            left = [n for n, each in enumerate(found) if isinstance(each, LayerUnavailable)]
            if not left:
                return
            asked = [connections[n] for n in left]
            homes = [self._index(self._keys.user(user, "connections")) for _, user in asked]
            indices = [(home + step) % count for home in homes]
            others = await self._admit_on(indices, process, asked, limit)
            for n, index, (client, _), outcome in zip(left, indices, asked, others, strict=True):
                found[n] = outcome
                if not isinstance(outcome, LayerUnavailable):
                    self._elsewhere[client] = index
                    _log.warning(
                        "elsewhere",
                        "the connections of some users are counted on another Redis, because theirs"
                        " does not answer: CONNECTIONS_PER_USER holds on each of the two",
                    )

    async def beat(self, process: str, info: bytes, ttl_seconds: float) -> bool:
        ttl_ms = int(ttl_seconds * 1000)
        beats = [
            pipeline.run(
                scripts.heartbeat(self._keys, process, ttl_ms, hosts),
                partial(self._on_beat, place, time.time()),
            )
            for pipeline, hosts, place in zip(
                self._topology.pipelines(),
                self._topology.fingerprints,
                self._topology.places,
                strict=True,
            )
        ]
        about, connections = self._process_keys(process)
        pipeline = self._pipeline(about)
        if ttl_ms:
            pipeline.send("PEXPIRE", connections, ttl_ms)
            described = pipeline.send("SET", about, self._codec.pack_info(info), "PX", ttl_ms)
        else:
            described = pipeline.send("DEL", about, connections, self._metrics_key(process))
        await outcomes([described])
        # A dead shard that comes back without its data does not know the process then.
        found: list[tuple[bool, int]] = living(await outcomes(beats))
        others = max(count for _, count in found)
        if others and ttl_ms:
            self._report_other_hosts(others)
        return all(known for known, _ in found)

    def _on_beat(self, place: str, asked_at: float, reply: list[int]) -> tuple[bool, int]:
        known, others, redis_ms = reply
        clocks.compare(place, asked_at, redis_ms / 1000, time.time())
        return bool(known), others

    def _report_other_hosts(self, others: int) -> None:
        _log.warning(
            "hosts",
            "%d other processes have another list of hosts than this one, which has %d: some rooms"
            " are in different Redis for them, and do not hear each other. Give all processes the"
            " same hosts, written alike and in the same order, and restart them together.",
            others,
            self._topology.count,
        )

    async def write_connections(
        self,
        process: str,
        present: Mapping[str, bytes],
        ended: Mapping[str, str],
        ttl_seconds: float,
    ) -> set[str]:
        about, connections = self._process_keys(process)
        pipeline = self._pipeline(about)
        written = []
        counted = {}
        for client, user in ended.items():
            if user:
                key = self._keys.user(user, "connections")
                counted[client] = self._pipeline(key).send("HDEL", key, client)
                other = self._elsewhere.pop(client, None)
                if other is not None:
                    self._topology.pipelines()[other].send("HDEL", key, client)
        if ended:
            written.append(pipeline.send("HDEL", connections, *ended))
        if present:
            fields: list[Any] = []
            for client, info in present.items():
                fields += [client, self._codec.pack_info(info)]
            written.append(pipeline.send("HSET", connections, *fields))
            written.append(pipeline.send("PEXPIRE", connections, int(ttl_seconds * 1000)))
        failed = set()
        for client, outcome in zip(counted, await outcomes(counted.values()), strict=True):
            # What another program has written there is removed by the next `admit`.
            if isinstance(outcome, LayerUnavailable) and not _is_about_data(outcome):
                failed.add(client)
        for outcome in await outcomes(written):
            if isinstance(outcome, LayerUnavailable):
                failed.update(present, ended)
                if _is_about_data(outcome):
                    await outcomes([pipeline.send("DEL", connections)])
        return failed

    async def write_metrics(self, process: str, snapshot: bytes, ttl_seconds: float) -> None:
        key = self._metrics_key(process)
        packed = self._codec.pack_info(snapshot)
        await self._pipeline(key).send("SET", key, packed, "PX", int(ttl_seconds * 1000))

    def metrics_sync(self) -> list[bytes]:
        by_shard = self._names_by_shard()

        def read(client: redis.Redis, index: int) -> list[bytes]:
            found: Any = client.mget([self._metrics_key(name) for name in by_shard[index]])
            return [self._codec.unpack_info(each) for each in found if each is not None]

        shards = living(self._topology.on_shards_sync(read, list(by_shard)).values())
        return [each for shard in shards for each in shard]

    def live_processes_sync(self) -> list[StoredProcess]:
        by_shard = self._names_by_shard()

        def read(client: redis.Redis, index: int) -> list[StoredProcess]:
            return self._processes(client, by_shard[index])

        processes = []
        for found in self._topology.on_shards_sync(read, list(by_shard)).values():
            if isinstance(found, LayerUnavailable):
                _log.warning(
                    "unlisted", "the connections of some processes can't be listed: %s", found
                )
            else:
                processes += found
        return processes

    def _names_by_shard(self) -> dict[int, list[str]]:
        """The processes that are alive, by the shard that has the rest of them."""
        # Every shard holds the processes that are alive: one that answers is enough.
        names = {name for shard in living(self._live_names().values()) for name in shard}
        by_shard: dict[int, list[str]] = defaultdict(list)
        for name in sorted(names):
            about, _ = self._process_keys(name)
            by_shard[self._topology.index(owner(about))].append(name)
        return by_shard

    def _live_names(self) -> dict[int, list[str] | LayerUnavailable]:
        def read(client: redis.Redis, index: int) -> list[str]:
            now_ms = int(scripts.to_seconds(client.time()) * 1000)
            names: Any = client.zrangebyscore(self._keys.processes(), f"({now_ms}", "+inf")
            return [name.decode() for name in names]

        return self._topology.on_shards_sync(read)

    def _processes(self, client: redis.Redis, names: list[str]) -> list[StoredProcess]:
        """The processes of one shard that have not ended."""
        with client.pipeline(transaction=False) as pipeline:
            for name in names:
                about, connections = self._process_keys(name)
                pipeline.get(about)
                pipeline.hvals(connections)
            replies = pipeline.execute(raise_on_error=False)
        found = []
        for reply in replies:
            # What another program has written is left out; what Redis refuses is no empty list.
            if isinstance(reply, Exception) and not _is_about_data(refused := report(reply)):
                raise refused from reply
        for info, infos in zip(replies[::2], replies[1::2], strict=True):
            if isinstance(info, bytes) and isinstance(infos, list):
                unpacked = list(map(self._codec.unpack_info, infos))
                found.append(StoredProcess(self._codec.unpack_info(info), unpacked))
        return found

    def _process_keys(self, process: str) -> tuple[str, str]:
        return self._keys.process(process, "about"), self._keys.process(process, "connections")

    def _metrics_key(self, process: str) -> str:
        return self._keys.process(process, "metrics")

    def _index(self, key: str) -> int:
        return self._topology.index(owner(key))

    def _pipeline(self, key: str) -> Pipeline:
        return self._topology.pipeline(owner(key))


def _is_about_data(error: LayerUnavailable) -> bool:
    return isinstance(error, Refused) and error.is_about_data

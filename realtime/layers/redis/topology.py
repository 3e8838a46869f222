"""Which Redis holds what, and the connections to it."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol, TypeVar

import redis
import redis.asyncio

from ...exceptions import LayerUnavailable
from . import acl
from .availability import in_time
from .clients import Clients, Enough, run
from .keys import Keys, pubsub_name
from .pipeline import Pipeline
from .pools import Host, address_of, close_pool, create_pool, database, place
from .scripts import Call, adopt
from .subscriber import Subscriber

T = TypeVar("T")

MOST_READS = 4
"""How many large reads a shard is asked for at the same time."""

OnMessage = Callable[[str, bytes], None]
"""Is called with the pub/sub channel and the bytes of a message."""


class Local(Protocol):
    """The state of one event loop: its shards."""

    @property
    def shards(self) -> Sequence[Shard]: ...


class Topology:
    """Spreads names over the shards of a site, each of them one Redis.

    Coroutines use the shards of the running event loop, which `get_local` returns. Threads use
    clients that block.
    """

    def __init__(self, hosts: Sequence[Host], prefix: str, get_local: Callable[[], Local]) -> None:
        self._hosts = hosts
        self._clients = Clients(hosts, lambda: adopt(self.keys))
        self.count = len(hosts)
        self._databases = list(map(database, hosts))
        self.keys = Keys(
            prefix, self._database_of if any(self._databases) else None, self._databases
        )
        self._get_local = get_local

    def open_shards(self, on_message: OnMessage, on_reconnect: Callable[[], None]) -> list[Shard]:
        """Make the shards of an event loop. They connect when they are used."""
        return [Shard(host, self.keys, on_message, on_reconnect) for host in self._hosts]

    @cached_property
    def places(self) -> list[str]:
        """Where each shard is, without users and passwords."""
        return list(map(place, self._hosts))

    @cached_property
    def fingerprints(self) -> list[str]:
        """For each shard what all processes must agree about: its number, and the whole list."""
        places = "\n".join(self.places)
        digest = hashlib.blake2b(places.encode(errors="replace"), digest_size=8).hexdigest()
        return [f"{index + 1} of {self.count}, {digest}" for index in range(self.count)]

    def acl_rules(self, user: str) -> dict[str, str]:
        """For each shard, by where it is, the command that gives `user` the rights it needs."""
        return {
            place: acl.rule(user, self.keys.prefix, number)
            for place, number in zip(self.places, self._databases, strict=True)
        }

    def name_on(self, index: int, name: str) -> str:
        """Return the pub/sub channel of `name` on a shard that need not be its own."""
        return pubsub_name(name, self._databases[index])

    def _database_of(self, name: str) -> int:
        return self._databases[self.index(name)]

    def index(self, name: str) -> int:
        """Return the number of the shard that holds `name`.

        channels_redis would choose the same: processes that use its own layer, or an older version
        of ours, reach the same members.
        """
        count = self.count
        return int((binascii.crc32(name.encode()) & 0xFFF) / (4096 / count)) if count > 1 else 0

    # For coroutines

    def pipeline(self, name: str) -> Pipeline:
        """Return the pipeline of the shard that holds `name`."""
        return self._get_local().shards[self.index(name)].pipeline

    def room_pipeline(self, room: str) -> Pipeline:
        """Return the pipeline of the shard of a room: that of its group, so that one script reaches
        both."""
        shards = self._get_local().shards
        if len(shards) == 1:
            return shards[0].pipeline
        return shards[self.room_index(room)].pipeline

    async def read_large(self, room: str, call: Call) -> Any:
        """Run a script whose reply may be large on the shard of a room."""
        shard = self._get_local().shards[self.room_index(room)]
        async with in_time(shard.address), shard.reading:
            return await shard.reads.run(call)

    def room_index(self, room: str) -> int:
        """Return the number of the shard that holds a room."""
        return self.index(self.keys.room_group(room))

    def pipelines(self) -> list[Pipeline]:
        """Return the pipelines of all shards."""
        return [shard.pipeline for shard in self._get_local().shards]

    # For threads

    def do_sync(self, name: str, work: Callable[[redis.Redis], T]) -> T:
        """Do something with the client of the shard that holds `name`."""
        return self._clients.do(self.index(name), work)

    def run_sync(self, room: str, call: Call) -> Any:
        """Run a script on the shard of a room."""
        return self._clients.do(self.room_index(room), lambda client: run(client, call))

    def examine_sync(self, work: Callable[[redis.Redis], T]) -> list[T | LayerUnavailable]:
        """Do something that takes many commands on each shard, one after the other."""
        found: list[T | LayerUnavailable] = []
        for index in range(self.count):
            try:
                found.append(self._clients.examine(index, work))
            except LayerUnavailable as error:
                found.append(error)
        return found

    def on_shards_sync(
        self,
        work: Callable[[redis.Redis, int], T],
        indices: Sequence[int] | None = None,
        *,
        enough: Enough = "all",
    ) -> dict[int, T | LayerUnavailable]:
        """Do something on some shards, or on all, at the same time. Return the outcome by the
        number of the shard. If less than all is `enough`, those that are late are left behind."""
        indices = range(self.count) if indices is None else indices
        return self._clients.do_on(indices, work, "all" if self.count == 1 else enough)


class Shard:
    """One Redis, as one event loop uses it: a connection for commands, and one that receives.

    To channels_redis it is a connection, with three differences: subscribing waits until Redis has
    confirmed it, so that a new member misses nothing; a lost connection is reported; and commands
    don't wait for each other behind one lock.
    """

    def __init__(
        self, host: Host, keys: Keys, on_message: OnMessage, on_reconnect: Callable[[], None]
    ) -> None:
        self._host = host
        self._keys = keys
        self._database = database(host)
        ending = len(pubsub_name("", self._database))

        def receive(channel: str, message: bytes) -> None:
            on_message(channel[:-ending], message)

        self._subscriber = Subscriber(
            lambda: self._pool, receive if ending else on_message, on_reconnect
        )

    @cached_property
    def address(self) -> str:
        return address_of(self._host)

    @cached_property
    def pipeline(self) -> Pipeline:
        return Pipeline(lambda: self._pool, self._keys)

    @cached_property
    def reads(self) -> Pipeline:
        """A connection of its own for what is large: nothing else waits behind it."""
        return Pipeline(lambda: self._pool, self._keys)

    @cached_property
    def reading(self) -> asyncio.Semaphore:
        """Bounds the memory that large reads take at the same time."""
        return asyncio.Semaphore(MOST_READS)

    @cached_property
    def _pool(self) -> redis.asyncio.ConnectionPool:
        # hiredis reads a message of a subscription as a plain list in version 2 of the protocol.
        pool: redis.asyncio.ConnectionPool = create_pool(
            redis.asyncio, {**self._host, "protocol": 2}
        )
        return pool

    @property
    def is_connected(self) -> bool:
        """Whether messages are received at this moment, as far as is known."""
        return self._subscriber.is_connected

    async def publish(self, channel: str, message: bytes) -> None:
        await self.pipeline.send("PUBLISH", pubsub_name(channel, self._database), message)

    async def subscribe(self, channel: str) -> None:
        await self._subscriber.subscribe(pubsub_name(channel, self._database))

    async def unsubscribe(self, channel: str) -> None:
        await self._subscriber.unsubscribe(pubsub_name(channel, self._database))

    async def flush(self) -> None:
        """Close the connections; the next use opens new ones."""
        await self._subscriber.close()
        for name in ("pipeline", "reads"):
            if name in self.__dict__:
                await self.__dict__.pop(name).close()
        if "_pool" in self.__dict__:
            await close_pool(self._pool)
            del self.__dict__["_pool"]

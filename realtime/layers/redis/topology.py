"""Which Redis holds what, and the connections to it."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from threading import Thread
from types import ModuleType
from typing import Any, Protocol, TypeVar

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.connection import parse_url
from redis.exceptions import NoScriptError

from ...exceptions import LayerUnavailable
from .availability import ERRORS, TIMEOUT_SECONDS, in_time
from .keys import Keys, pubsub_name
from .pipeline import Pipeline
from .refusals import Refused, report
from .scripts import Call
from .subscriber import Subscriber

T = TypeVar("T")

MOST_READS = 4
"""How many large reads a shard is asked for at the same time."""

Host = dict[str, Any]
"""Options of redis-py, or the URL of a Redis as `address`, or a `master_name` with `sentinels`."""

OnMessage = Callable[[str, bytes], None]
"""Is called with the pub/sub channel and the bytes of a message."""

# redis-py must not retry commands: an append that timed out may have happened.
_CONNECTION_OPTIONS: dict[str, Any] = {
    "socket_timeout": TIMEOUT_SECONDS,
    "socket_connect_timeout": TIMEOUT_SECONDS,
    "retry": None,
}


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
        self.count = len(hosts)
        self._databases = list(map(_database, hosts))
        self.keys = Keys(prefix, self._database_of if any(self._databases) else None)
        self._get_local = get_local

    def open_shards(self, on_message: OnMessage, on_reconnect: Callable[[], None]) -> list[Shard]:
        """Make the shards of an event loop. They connect when they are used."""
        return [Shard(host, on_message, on_reconnect) for host in self._hosts]

    @cached_property
    def fingerprints(self) -> list[str]:
        """For each shard what all processes must agree about: its number, and the whole list."""
        places = "\n".join(map(_place, self._hosts))
        digest = hashlib.blake2b(places.encode(errors="replace"), digest_size=8).hexdigest()
        return [f"{index + 1} of {self.count}, {digest}" for index in range(self.count)]

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
        async with in_time(), shard.reading:
            return await shard.reads.run(call)

    def room_index(self, room: str) -> int:
        """Return the number of the shard that holds a room."""
        return self.index(self.keys.room_group(room))

    def pipelines(self) -> list[Pipeline]:
        """Return the pipelines of all shards."""
        return [shard.pipeline for shard in self._get_local().shards]

    # For threads

    @contextmanager
    def client(self, name: str) -> Iterator[redis.Redis]:
        """Lend the client of the shard that holds `name`; its errors become `LayerUnavailable`."""
        with _lend(self._clients[self.index(name)]) as client:
            yield client

    def run_sync(self, room: str, call: Call) -> Any:
        """Run a script on the shard of a room."""
        with self.client(self.keys.room_group(room)) as client:
            return run(client, call)

    def on_shards_sync(
        self, work: Callable[[redis.Redis, int], T], indices: Sequence[int] | None = None
    ) -> dict[int, T | LayerUnavailable]:
        """Do something on some shards, or on all, at the same time; one that is dead delays no
        other. Return the outcome by the number of the shard."""
        found: dict[int, T | LayerUnavailable] = {}

        def do(index: int) -> None:
            try:
                with _lend(self._clients[index]) as client:
                    found[index] = work(client, index)
            except LayerUnavailable as error:
                found[index] = error
            except Exception as error:
                failures.append(error)

        failures: list[Exception] = []
        numbers = range(self.count) if indices is None else indices
        if len(numbers) > 1:
            threads = [Thread(target=do, args=(index,), daemon=True) for index in numbers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        else:
            for index in numbers:
                do(index)
        if failures:
            raise failures[0]
        return found

    @cached_property
    def _clients(self) -> list[redis.Redis]:
        """One pooled client a shard, safe to use from every thread."""
        return [redis.Redis(connection_pool=_create_pool(redis, host)) for host in self._hosts]


class Shard:
    """One Redis, as one event loop uses it: a connection for commands, and one that receives.

    To channels_redis it is a connection, with three differences: subscribing waits until Redis has
    confirmed it, so that a new member misses nothing; a lost connection is reported; and commands
    don't wait for each other behind one lock.
    """

    def __init__(self, host: Host, on_message: OnMessage, on_reconnect: Callable[[], None]) -> None:
        self._host = host
        self._database = _database(host)
        ending = len(pubsub_name("", self._database))

        def receive(channel: str, message: bytes) -> None:
            on_message(channel[:-ending], message)

        self._subscriber = Subscriber(
            lambda: self._pool, receive if ending else on_message, on_reconnect
        )

    @cached_property
    def pipeline(self) -> Pipeline:
        return Pipeline(lambda: self._pool)

    @cached_property
    def reads(self) -> Pipeline:
        """A connection of its own for what is large: nothing else waits behind it."""
        return Pipeline(lambda: self._pool)

    @cached_property
    def reading(self) -> asyncio.Semaphore:
        """Bounds the memory that large reads take at the same time."""
        return asyncio.Semaphore(MOST_READS)

    @cached_property
    def _pool(self) -> redis.asyncio.ConnectionPool:
        # hiredis reads a message of a subscription as a plain list in version 2 of the protocol.
        pool: redis.asyncio.ConnectionPool = _create_pool(
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
            await self._pool.disconnect()
            del self.__dict__["_pool"]


def _database(host: Host) -> int:
    """The number of the database that a host means."""
    options: Host = parse_url(host["address"]) if "address" in host else host  # type: ignore[no-untyped-call]
    return int(options.get("db") or host.get("db") or 0)


def _place(host: Host) -> str:
    """Where a Redis is: without users and passwords."""
    options: Host = parse_url(host["address"]) if "address" in host else host  # type: ignore[no-untyped-call]
    where = options.get("master_name") or options.get("path") or options.get("unix_socket_path")
    if not where:
        where = f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    return f"{where}/{_database(host)}"


def _create_pool(library: ModuleType, host: Host) -> Any:
    """Make a connection pool of `library`, which is `redis` or `redis.asyncio`."""
    options = {**host, **_CONNECTION_OPTIONS}
    if "address" in options:
        return library.ConnectionPool.from_url(options.pop("address"), **options)
    if "master_name" in options:
        module = library.sentinel
        master, sentinels = options.pop("master_name"), options.pop("sentinels")
        sentinel = module.Sentinel(sentinels, sentinel_kwargs=options.pop("sentinel_kwargs", None))
        return module.SentinelConnectionPool(master, sentinel, **options)
    return library.ConnectionPool(**options)


@contextmanager
def _lend(client: redis.Redis) -> Iterator[redis.Redis]:
    """Lend a client; its errors become `LayerUnavailable`."""
    try:
        yield client
    except ERRORS as error:
        reported = report(error)
        if isinstance(reported, Refused) and reported.needs_new_connection:
            client.connection_pool.disconnect(inuse_connections=False)
        raise reported from error


def run(client: redis.Redis, call: Call) -> Any:
    try:
        return client.execute_command(*call.command)  # type: ignore[no-untyped-call]
    except NoScriptError:
        return client.eval(call.script.text, *call.command[2:])

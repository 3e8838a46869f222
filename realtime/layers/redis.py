"""The room layer on Redis: the pub/sub layer of channels_redis, with what rooms need."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

import redis
from channels_redis.pubsub import (
    RedisPubSubChannelLayer,
    RedisPubSubLoopLayer,
    RedisSingleShardConnection,
)
from channels_redis.utils import _close_redis, _consistent_hash, _wrap_close, create_pool
from redis import asyncio as aioredis
from redis.exceptions import NoScriptError, RedisError

from ..exceptions import LayerUnavailable
from ..names import group_name
from ..protocols.messages import Position
from . import scripts
from .base import (
    NOTHING_KEPT,
    PUBLICATION,
    Attendance,
    Entry,
    Member,
    Page,
    PresenceChange,
    PresenceNews,
    Retention,
)
from .listener import Listener
from .scripts import Call

TIMEOUT_SECONDS = 2
COMMANDS_AT_ONCE = 64
# Commands are not retried by redis-py: an append that timed out may have happened.
_CONNECTION_OPTIONS: dict[str, Any] = {
    "socket_timeout": TIMEOUT_SECONDS,
    "socket_connect_timeout": TIMEOUT_SECONDS,
    "retry": None,
}


class RedisRoomLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    """A Channels layer for the whole site that also knows rooms.

    Options are those of `channels_redis.pubsub`: `hosts` (URLs or dicts; several are shards, over
    which rooms are spread), `prefix`, `symmetric_encryption_keys`.
    """

    def _get_layer(self) -> RoomLoopLayer:
        loop = asyncio.get_running_loop()
        if loop not in self._layers:
            self._layers[loop] = RoomLoopLayer(*self._args, **self._kwargs, channel_layer=self)
            _wrap_close(self, loop)
        layer: RoomLoopLayer = self._layers[loop]
        return layer

    # Channels

    async def new_channel(self, prefix: str = "specific.") -> str:
        async with _available():
            channel: str = await self._get_layer().new_channel(prefix)
            return channel

    async def group_add(self, group: str, channel: str) -> None:
        async with _available():
            await self._get_layer().group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        async with _available():
            await self._get_layer().group_discard(group, channel)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        async with _available():
            await self._get_layer().group_send(group, message)

    def group_send_sync(self, group: str, message: dict[str, Any]) -> None:
        offline = self._offline
        name = offline._get_group_channel_name(group)
        client = self._sync_clients[_consistent_hash(name, len(offline._shards))]
        try:
            client.publish(name, self.serialize(message))
        except RedisError as error:
            raise LayerUnavailable("Redis does not answer") from error

    async def receive(self, channel: str) -> dict[str, Any]:
        message: dict[str, Any] = await self._get_layer().receive(channel)
        return message

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._get_layer().reconnect_callbacks.append(callback)

    def deserialize(self, message: bytes) -> dict[str, Any]:
        """As Channels' own, and for publications with the position that Redis put in front."""
        if message[:1] != b"\xc1":
            plain: dict[str, Any] = super().deserialize(message)
            return plain
        head, _, rest = message[1:].partition(b"\n")
        offset, _, epoch = head.partition(b":")
        publication: dict[str, Any] = super().deserialize(rest)
        return {**publication, "offset": int(offset), "epoch": epoch.decode()}

    # Publications

    async def append(
        self, room: str, body: bytes, keep: Retention = NOTHING_KEPT, once: str = ""
    ) -> Position:
        call = scripts.append(self._keys, room, self._message(room, body), keep, once)
        return scripts.to_position(await self._run(room, call))

    def append_sync(
        self, room: str, body: bytes, keep: Retention = NOTHING_KEPT, once: str = ""
    ) -> Position:
        call = scripts.append(self._keys, room, self._message(room, body), keep, once)
        return scripts.to_position(self._run_sync(room, call))

    async def history(
        self, room: str, *, since: int | None = None, limit: int = 0, reverse: bool = False
    ) -> Page:
        return self._page(
            await self._run(room, scripts.history(self._keys, room, since, limit, reverse))
        )

    def history_sync(
        self, room: str, *, since: int | None = None, limit: int = 0, reverse: bool = False
    ) -> Page:
        return self._page(
            self._run_sync(room, scripts.history(self._keys, room, since, limit, reverse))
        )

    async def positions(self, rooms: Sequence[str]) -> dict[str, Position]:
        calls = [(room, scripts.history(self._keys, room, None, 0, False)) for room in rooms]
        replies = await self._run_many(calls)
        return {room: scripts.to_position(reply) for room, reply in replies}

    # Presence

    async def update_presence(self, changes: Collection[PresenceChange]) -> list[PresenceNews]:
        calls = []
        for change in changes:
            hidden = [
                Member(member.client, member.user, self.serialize({"info": member.info}))
                for member in change.present
            ]
            change = PresenceChange(change.room, hidden, change.ended)
            calls.append((change.room, scripts.presence(self._keys, change)))
        return [
            PresenceNews(room, *(list(map(self._info, infos)) for infos in reply))
            for room, reply in await self._run_many(calls)
        ]

    async def presence(self, room: str, *, infos: bool = True) -> Attendance:
        reply = await self._run(room, scripts.attendance(self._keys, room, infos))
        return self._attendance(reply)

    def presence_sync(self, room: str, *, infos: bool = True) -> Attendance:
        reply = self._run_sync(room, scripts.attendance(self._keys, room, infos))
        return self._attendance(reply)

    # Tickets

    def store_ticket(self, ticket: str, identity: bytes, ttl_seconds: int) -> None:
        key = self._keys.ticket(ticket)
        shard = self._offline._shards.index(self._offline._get_shard(key))
        try:
            self._sync_clients[shard].set(key, identity, ex=ttl_seconds)
        except RedisError as error:
            raise LayerUnavailable("Redis does not answer") from error

    async def redeem_ticket(self, ticket: str) -> bytes | None:
        key = self._keys.ticket(ticket)
        shard: RoomShard = self._get_layer()._get_shard(key)
        async with _available(), shard.busy:
            identity: Any = await shard.commands.getdel(key)
        return None if identity is None else bytes(identity)

    # What goes to Redis, and what comes back

    async def _run(self, room: str, call: Call) -> Any:
        shard = self._get_layer().room_shard(room)
        async with _available(), shard.busy:
            try:
                return await _evalsha(shard.commands, call)
            except NoScriptError:
                return await shard.commands.eval(
                    call.script.text, len(call.keys), *call.keys, *call.args
                )

    async def _run_many(self, calls: Collection[tuple[str, Call]]) -> list[tuple[str, Any]]:
        """Run calls in one pipeline for each shard; each with its room."""
        layer = self._get_layer()
        of_shard: defaultdict[RoomShard, list[tuple[str, Call]]] = defaultdict(list)
        for room, call in calls:
            of_shard[layer.room_shard(room)].append((room, call))
        replies: list[tuple[str, Any]] = []
        for shard, its_calls in of_shard.items():
            async with _available(), shard.busy:
                try:
                    results = await _pipeline(shard.commands, its_calls)
                except NoScriptError:
                    for script in {call.script for _, call in its_calls}:
                        await shard.commands.script_load(script.text)
                    results = await _pipeline(shard.commands, its_calls)
            rooms = [room for room, _ in its_calls]
            replies += zip(rooms, results, strict=True)
        return replies

    def _run_sync(self, room: str, call: Call) -> Any:
        client = self._sync_clients[self._offline._shards.index(self._offline.room_shard(room))]
        try:
            try:
                return _evalsha(client, call)
            except NoScriptError:
                return client.eval(call.script.text, len(call.keys), *call.keys, *call.args)
        except RedisError as error:
            raise LayerUnavailable("Redis does not answer") from error

    def _message(self, room: str, body: bytes) -> bytes:
        message: bytes = self.serialize({"type": PUBLICATION, "room": room, "body": body})
        return message

    def _page(self, reply: list[Any]) -> Page:
        entries = [
            Entry(offset, self.deserialize(message)["body"])
            for offset, message in scripts.to_entries(reply)
        ]
        return Page(scripts.to_position(reply), entries)

    def _info(self, hidden: bytes) -> bytes:
        info: bytes = self.deserialize(hidden)["info"]
        return info

    def _attendance(self, reply: list[Any]) -> Attendance:
        attendance = scripts.to_attendance(reply)
        return attendance._replace(infos=list(map(self._info, attendance.infos)))

    @cached_property
    def _keys(self) -> scripts.Keys:
        return scripts.Keys(self._offline.prefix)

    @cached_property
    def _offline(self) -> RoomLoopLayer:
        """Knows prefix and shards where there is no event loop; never connects."""
        return RoomLoopLayer(*self._args, **self._kwargs, channel_layer=self)

    @cached_property
    def _sync_clients(self) -> list[redis.Redis]:
        """One pooled, thread-safe client a shard, for code without an event loop."""
        pools = [_sync_pool(shard.host) for shard in self._offline._shards]
        return [redis.Redis(connection_pool=pool) for pool in pools]


class RoomLoopLayer(RedisPubSubLoopLayer):  # type: ignore[misc]
    """The part of the layer that belongs to one event loop."""

    _shards: list[RoomShard]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shards = [RoomShard(shard.host, self) for shard in self._shards]
        self.reconnect_callbacks: list[Callable[[], None]] = []

    def room_shard(self, room: str) -> RoomShard:
        """The shard of a room: that of its group, so that one script reaches both."""
        name = self._get_group_channel_name(group_name(room))
        shard: RoomShard = self._shards[_consistent_hash(name, len(self._shards))]
        return shard

    async def group_add(self, group: str, channel: str) -> None:
        try:
            await super().group_add(group, channel)
        except BaseException:
            # Not in the group, so nothing of it may stay behind.
            await self.group_discard(group, channel)
            raise

    async def flush(self) -> None:
        await super().flush()
        self.reconnect_callbacks.clear()

    def reconnected(self) -> None:
        for callback in self.reconnect_callbacks:
            callback()


class RoomShard(RedisSingleShardConnection):  # type: ignore[misc]
    """One Redis: a connection that listens, and a pool for commands.

    Three things differ from the parent. Subscribing waits until Redis has confirmed it, so that who
    has joined misses nothing. A lost connection is told. And commands don't wait for each other
    behind one lock.
    """

    def __init__(self, host: dict[str, Any], channel_layer: RoomLoopLayer) -> None:
        super().__init__(host, channel_layer)
        # As many connections at most: a Redis that hangs must not collect one for every publisher.
        self.busy = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self._listener = Listener(
            lambda: self.commands.connection_pool, self._hand_out, channel_layer.reconnected
        )

    @cached_property
    def commands(self) -> aioredis.Redis:
        return aioredis.Redis(connection_pool=create_pool({**self.host, **_CONNECTION_OPTIONS}))

    async def publish(self, channel: str, message: bytes) -> None:
        async with self.busy:
            await self.commands.publish(channel, message)

    async def subscribe(self, channel: str) -> None:
        await self._listener.subscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        await self._listener.unsubscribe(channel)

    async def flush(self) -> None:
        await self._listener.close()
        if "commands" in self.__dict__:
            await _close_redis(self.commands)
            del self.__dict__["commands"]

    def _hand_out(self, name: str, data: bytes) -> None:
        self._receive_message({"channel": name, "data": data})


def _evalsha(client: Any, call: Call) -> Any:
    return client.evalsha(call.script.sha, len(call.keys), *call.keys, *call.args)


async def _pipeline(client: aioredis.Redis, calls: Sequence[tuple[str, Call]]) -> list[Any]:
    async with client.pipeline(transaction=False) as pipeline:
        for _, call in calls:
            _evalsha(pipeline, call)
        return await pipeline.execute()


@asynccontextmanager
async def _available() -> AsyncIterator[None]:
    """Turns what Redis does when it is away into one error, in time."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            yield
    except (RedisError, OSError, TimeoutError) as error:
        raise LayerUnavailable("Redis does not answer") from error


def _sync_pool(host: dict[str, Any]) -> redis.ConnectionPool:
    """The twin of `channels_redis.utils.create_pool` for code without an event loop."""
    options = {**host, **_CONNECTION_OPTIONS}
    if "address" in options:
        return redis.ConnectionPool.from_url(options.pop("address"), **options)
    if "master_name" in options:
        from redis.sentinel import Sentinel, SentinelConnectionPool

        master, sentinels = options.pop("master_name"), options.pop("sentinels")
        sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
            sentinels, sentinel_kwargs=options.pop("sentinel_kwargs", None)
        )
        pool: redis.ConnectionPool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
            master, sentinel, **options
        )
        return pool
    return redis.ConnectionPool(**options)

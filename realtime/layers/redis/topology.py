"""Which Redis holds what, and the connections to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

import redis
from channels_redis.pubsub import (
    RedisPubSubChannelLayer,
    RedisPubSubLoopLayer,
    RedisSingleShardConnection,
)
from channels_redis.utils import _consistent_hash, _wrap_close, create_pool
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import RedisError

from ...exceptions import LayerUnavailable
from ..groups import group_name
from .pipeline import TIMEOUT_SECONDS, Commands
from .scripts import Keys
from .subscriber import Listener

# Commands are not retried by redis-py: an append that timed out may have happened.
_CONNECTION_OPTIONS: dict[str, Any] = {
    "socket_timeout": TIMEOUT_SECONDS,
    "socket_connect_timeout": TIMEOUT_SECONDS,
    "retry": None,
}


class ShardedLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    """The pub/sub layer of channels_redis, whose shards are `RoomShard`s."""

    def _get_layer(self) -> RoomLoopLayer:
        loop = asyncio.get_running_loop()
        layer: RoomLoopLayer | None = self._layers.get(loop)
        if layer is None:
            layer = RoomLoopLayer(*self._args, **self._kwargs, channel_layer=self)
            self._layers[loop] = layer
            _wrap_close(self, loop)
        return layer

    @cached_property
    def _keys(self) -> Keys:
        return Keys(self._offline.prefix)

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
        self.receivers: dict[str, Callable[[bytes], None]] = {}
        """Who takes what comes to a channel, where it does not wait in a queue."""

    def room_shard(self, room: str) -> RoomShard:
        """The shard of a room: that of its group, so that one script reaches both."""
        if len(self._shards) == 1:
            return self._shards[0]
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
        self.receivers.clear()

    def reconnected(self) -> None:
        for callback in self.reconnect_callbacks:
            callback()


class RoomShard(RedisSingleShardConnection):  # type: ignore[misc]
    """One Redis: a connection that listens, and one for commands.

    Three things differ from the parent. Subscribing waits until Redis has confirmed it, so that who
    has joined misses nothing. A lost connection is told. And commands don't wait for each other
    behind one lock.
    """

    def __init__(self, host: dict[str, Any], channel_layer: RoomLoopLayer) -> None:
        super().__init__(host, channel_layer)
        self._listener = Listener(lambda: self._pool, self._hand_out, channel_layer.reconnected)

    @cached_property
    def commands(self) -> Commands:
        return Commands(lambda: self._pool)

    @cached_property
    def _pool(self) -> ConnectionPool:
        pool: ConnectionPool = create_pool({**self.host, **_CONNECTION_OPTIONS, "protocol": 2})
        return pool

    async def publish(self, channel: str, message: bytes) -> None:
        await self.commands.send("PUBLISH", channel, message)

    async def subscribe(self, channel: str) -> None:
        await self._listener.subscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        await self._listener.unsubscribe(channel)

    async def flush(self) -> None:
        await self._listener.close()
        if "commands" in self.__dict__:
            await self.commands.close()
            del self.__dict__["commands"]
        if "_pool" in self.__dict__:
            await self._pool.disconnect()
            del self.__dict__["_pool"]

    def _hand_out(self, name: str, data: bytes) -> None:
        layer = self.channel_layer
        channels = layer.groups.get(name)
        if not channels or not layer.receivers.keys() >= channels:
            self._receive_message({"channel": name, "data": data})
            return
        for channel in channels:
            layer.receivers[channel](data)


@asynccontextmanager
async def available() -> AsyncIterator[None]:
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

"""Which Redis holds what, and the connections to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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

from ..names import group_name
from .commands import TIMEOUT_SECONDS
from .listener import Listener
from .scripts import Keys

COMMANDS_AT_ONCE = 64
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
        if loop not in self._layers:
            self._layers[loop] = RoomLoopLayer(*self._args, **self._kwargs, channel_layer=self)
            _wrap_close(self, loop)
        layer: RoomLoopLayer = self._layers[loop]
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

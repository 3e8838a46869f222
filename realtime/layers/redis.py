"""The room layer on Redis: the pub/sub layer of channels_redis, with what rooms need."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import redis
from channels_redis.pubsub import (
    RedisPubSubChannelLayer,
    RedisPubSubLoopLayer,
    RedisSingleShardConnection,
)
from channels_redis.utils import _close_redis, _consistent_hash, _wrap_close, create_pool
from redis import asyncio as aioredis
from redis.exceptions import RedisError

from ..exceptions import LayerUnavailable
from ..names import group_name
from ..protocols.messages import Position
from .base import PUBLICATION

logger = logging.getLogger("realtime.layers.redis")

TIMEOUT_SECONDS = 2
META_TTL_SECONDS = 30 * 24 * 3600
_HERE = Path(__file__).parent
_APPEND = (_HERE / "append.lua").read_text()
_POSITION = (_HERE / "position.lua").read_text()
# Commands are not retried by redis-py: an append that timed out may have happened.
_COMMAND_OPTIONS: dict[str, Any] = {
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

    async def receive(self, channel: str) -> dict[str, Any]:
        message: dict[str, Any] = await self._get_layer().receive(channel)
        return message

    async def append(self, room: str, body: bytes) -> Position:
        layer = self._get_layer()
        shard = layer.room_shard(room)
        async with _available():
            reply = await shard.append(**self._append_call(layer.prefix, room, body))
        return _to_position(reply)

    def append_sync(self, room: str, body: bytes) -> Position:
        call = self._append_call(self._offline.prefix, room, body)
        shard = self._offline._shards.index(self._offline.room_shard(room))
        try:
            return _to_position(self._sync_scripts[shard](**call))
        except RedisError as error:
            raise LayerUnavailable("Redis does not answer") from error

    async def position(self, room: str) -> Position:
        layer = self._get_layer()
        async with _available():
            reply = await layer.room_shard(room).position(
                keys=[_meta_key(layer.prefix, room)], args=[_new_epoch(), META_TTL_SECONDS]
            )
        return _to_position(reply)

    def store_ticket(self, ticket: str, identity: bytes, ttl_seconds: int) -> None:
        key = _ticket_key(self._offline.prefix, ticket)
        shard = self._offline._shards.index(self._offline._get_shard(key))
        try:
            self._sync_clients[shard].set(key, identity, ex=ttl_seconds)
        except RedisError as error:
            raise LayerUnavailable("Redis does not answer") from error

    async def redeem_ticket(self, ticket: str) -> bytes | None:
        layer = self._get_layer()
        key = _ticket_key(layer.prefix, ticket)
        async with _available():
            identity: bytes | None = await layer._get_shard(key).commands.getdel(key)
        return identity

    def deserialize(self, message: bytes) -> dict[str, Any]:
        """As Channels' own, and for publications with the position that Redis put in front."""
        if message[:1] != b"\xc1":
            plain: dict[str, Any] = super().deserialize(message)
            return plain
        head, _, rest = message[1:].partition(b"\n")
        offset, _, epoch = head.partition(b":")
        publication: dict[str, Any] = super().deserialize(rest)
        return {**publication, "offset": int(offset), "epoch": epoch.decode()}

    def _append_call(self, prefix: str, room: str, body: bytes) -> dict[str, list[Any]]:
        message = self.serialize({"type": PUBLICATION, "room": room, "body": body})
        channel = f"{prefix}__group__{group_name(room)}"
        return {
            "keys": [_meta_key(prefix, room)],
            "args": [_new_epoch(), channel, message, META_TTL_SECONDS],
        }

    @cached_property
    def _offline(self) -> RoomLoopLayer:
        """Knows prefix and shards where there is no event loop; never connects."""
        return RoomLoopLayer(*self._args, **self._kwargs, channel_layer=self)

    @cached_property
    def _sync_clients(self) -> list[redis.Redis]:
        """One pooled, thread-safe client a shard, for code without an event loop."""
        pools = [_sync_pool(shard.host) for shard in self._offline._shards]
        return [redis.Redis(connection_pool=pool) for pool in pools]

    @cached_property
    def _sync_scripts(self) -> list[Any]:
        return [client.register_script(_APPEND) for client in self._sync_clients]


class RoomLoopLayer(RedisPubSubLoopLayer):  # type: ignore[misc]
    """The part of the layer that belongs to one event loop."""

    _shards: list[RoomShard]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shards = [RoomShard(shard.host, self) for shard in self._shards]

    def room_shard(self, room: str) -> RoomShard:
        """The shard of a room: that of its group, so that one script reaches both."""
        name = self._get_group_channel_name(group_name(room))
        shard: RoomShard = self._shards[_consistent_hash(name, len(self._shards))]
        return shard


class RoomShard(RedisSingleShardConnection):  # type: ignore[misc]
    """One Redis: a connection that listens, and a pool for commands.

    Two things differ from the parent. Subscribing waits until Redis has confirmed it, so that who
    has joined misses nothing. And commands don't wait for each other behind one lock.
    """

    def __init__(self, host: dict[str, Any], channel_layer: RoomLoopLayer) -> None:
        super().__init__(host, channel_layer)
        self._confirmations: dict[str, asyncio.Future[None]] = {}

    @cached_property
    def commands(self) -> aioredis.Redis:
        return aioredis.Redis(connection_pool=create_pool({**self.host, **_COMMAND_OPTIONS}))

    @cached_property
    def append(self) -> Any:
        return self.commands.register_script(_APPEND)

    @cached_property
    def position(self) -> Any:
        return self.commands.register_script(_POSITION)

    async def subscribe(self, channel: str) -> None:
        async with self._lock:
            if channel in self._subscribed_to:
                return
            confirmation = asyncio.get_running_loop().create_future()
            self._confirmations[channel] = confirmation
            try:
                self._ensure_redis()
                self._ensure_receiver()
                await self._pubsub.subscribe(channel)
                await confirmation
            finally:
                self._confirmations.pop(channel, None)
            self._subscribed_to.add(channel)

    async def flush(self) -> None:
        await super().flush()
        if "commands" in self.__dict__:
            await _close_redis(self.commands)
            for name in ("commands", "append", "position"):
                self.__dict__.pop(name, None)

    async def _do_receiving(self) -> None:
        while True:
            try:
                if self._pubsub.subscribed:
                    message = await self._pubsub.get_message(timeout=1)
                    if message is not None:
                        self._on_message(message)
                else:
                    await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                logger.warning("the connection to Redis failed: %s", type(error).__name__)
                await asyncio.sleep(1)

    def _on_message(self, message: dict[str, Any]) -> None:
        if message["type"] == "message":
            self._receive_message(message)
        elif message["type"] == "subscribe":
            confirmation = self._confirmations.get(message["channel"].decode())
            if confirmation is not None and not confirmation.done():
                confirmation.set_result(None)


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
    options = {**host, **_COMMAND_OPTIONS}
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


def _to_position(reply: list[Any]) -> Position:
    epoch, offset = reply
    return Position(epoch.decode(), int(offset))


def _new_epoch() -> str:
    return uuid.uuid4().hex[:8]


def _meta_key(prefix: str, room: str) -> str:
    return f"{prefix}:room:{room}:meta"


def _ticket_key(prefix: str, ticket: str) -> str:
    # Only a digest is kept: who can read Redis can't redeem a ticket.
    return f"{prefix}:ticket:{hashlib.sha256(ticket.encode(errors='replace')).hexdigest()}"

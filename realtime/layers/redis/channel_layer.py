"""The groups of the site, and of rooms, on the pub/sub layer of channels_redis.

This is the only module that knows the insides of channels_redis. It keeps what consumers use of it
(channels, queues, groups) and gives it our shards instead of its connections.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import redis
from channels_redis.pubsub import RedisPubSubChannelLayer, RedisPubSubLoopLayer
from channels_redis.utils import _wrap_close, decode_hosts

from ...exceptions import LayerUnavailable
from ...rooms.publications import Publication
from ...sparse_log import SparseLogs
from ..base import PUBLICATION, UNREADABLE
from ..groups import CONTROL_GROUP
from . import codec
from .availability import TIMEOUT_SECONDS, in_time
from .codec import PUBLICATION_MARK, Codec
from .repairs import PATIENCE_SECONDS, living, one_of
from .topology import Shard, Topology

MOST_HEARD = 1_000

_log = SparseLogs(logging.getLogger("realtime.layers.redis"))


class _Unreadable(ValueError):
    """A message that this layer has not written."""


class RedisGroups(RedisPubSubChannelLayer):  # type: ignore[misc]
    """A Channels layer whose groups also carry the publications of rooms."""

    def __init__(self, hosts: Any = None, prefix: str = "asgi", **options: Any) -> None:
        super().__init__(**options)
        self.topology = Topology(decode_hosts(hosts), prefix, self._get_layer)
        # A serializer of the site's own may encrypt in another way than with a `crypter`.
        is_encrypted = getattr(self._serializer, "crypter", self) is not None
        self.codec = Codec(self._serializer, is_encrypted)

    async def new_channel(self, prefix: str = "specific.") -> str:
        async with in_time():
            channel: str = await self._get_layer().new_channel(prefix)
            return channel

    async def group_add(self, group: str, channel: str) -> None:
        async with in_time():
            await self._get_layer().group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        async with in_time():
            await self._get_layer().group_discard(group, channel)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        async with in_time():
            if self._is_everywhere(group):
                await self._get_layer().publish_everywhere(*self._for_everywhere(group, message))
            else:
                await self._get_layer().group_send(group, message)

    def _is_everywhere(self, group: str) -> bool:
        """Whether a group is on every shard, so that any one of them is enough for all processes to
        hear each other."""
        return group == CONTROL_GROUP and self.topology.count > 1

    def _for_everywhere(self, group: str, message: dict[str, Any]) -> tuple[str, bytes]:
        # With an id, because the same message comes from each shard.
        packed: bytes = self.serialize({**message, "id": uuid.uuid4().hex})
        return self.topology.keys.group(group), packed

    def group_send_sync(self, group: str, message: dict[str, Any]) -> None:
        if self._is_everywhere(group):
            everywhere, packed = self._for_everywhere(group, message)

            def publish(client: redis.Redis, index: int) -> None:
                client.publish(self.topology.name_on(index, everywhere), packed)

            living(self.topology.on_shards_sync(publish, enough="one").values())
            return
        name = self.topology.keys.group(group)
        channel, packed = self.topology.keys.pubsub(name), self.serialize(message)
        self.topology.do_sync(name, lambda client: client.publish(channel, packed))

    async def receive(self, channel: str) -> dict[str, Any]:
        while True:
            try:
                message: dict[str, Any] = await self._get_layer().receive(channel)
            except _Unreadable:
                _log.warning(channel, "a message for the channel %r can't be read", channel)
            else:
                return message

    def on_message(
        self,
        channel: str,
        receive: Callable[[dict[str, Any]], None],
        receive_publication: Callable[[str, str, Publication], None],
    ) -> None:
        deserialize, read_broadcast = self.deserialize, self.codec.read_broadcast

        def take(name: str, message: bytes) -> None:
            try:
                if is_publication := message[:1] == PUBLICATION_MARK:
                    publication = read_broadcast(message)
                else:
                    read = deserialize(message)
                    read["type"]
            except codec.UNREADABLE:
                receive({"type": UNREADABLE, "group": name})
                return
            if is_publication:
                receive_publication(*publication)
            else:
                receive(read)

        self._get_layer().receivers[channel] = take

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._get_layer().reconnect_callbacks.append(callback)

    def deserialize(self, message: bytes) -> dict[str, Any]:
        """Read a message; a publication with the position that Redis put in front of it."""
        try:
            if message[:1] != PUBLICATION_MARK:
                plain: dict[str, Any] = super().deserialize(message)
                return plain
            room, epoch, publication = self.codec.read_broadcast(message)
        except codec.UNREADABLE as error:
            raise _Unreadable("bytes of another program") from error
        return {
            "type": PUBLICATION,
            "room": room,
            "epoch": epoch,
            "offset": publication.offset,
            "body": publication.body,
        }

    def _get_layer(self) -> LoopGroups:
        loop = asyncio.get_running_loop()
        layer: LoopGroups | None = self._layers.get(loop)
        if layer is None:
            layer = self._layers[loop] = LoopGroups(self, self.topology)
            _wrap_close(self, loop)
        return layer


class LoopGroups(RedisPubSubLoopLayer):  # type: ignore[misc]
    """The channels and groups of one event loop."""

    def __init__(self, layer: RedisGroups, topology: Topology) -> None:
        super().__init__(prefix=topology.keys.prefix, channel_layer=layer)
        self.reconnect_callbacks: list[Callable[[], None]] = []
        self.receivers: dict[str, Callable[[str, bytes], None]] = {}
        """The callbacks of channels that have one; messages of other channels wait in a queue."""
        self._topology = topology
        deliver = self._deliver if topology.count == 1 else self._deliver_once
        self._everywhere = topology.keys.group(CONTROL_GROUP)
        self._heard: dict[bytes, None] = {}
        self._on_shards: set[asyncio.Task[None]] = set()
        self.shards = topology.open_shards(deliver, self._report_reconnect)
        self._shards = self.shards  # instead of connections that channels_redis made but not opened

    async def _subscribe_to_channel(self, channel: str) -> None:
        try:
            await super()._subscribe_to_channel(channel)
        except BaseException:
            # Nobody hears of the channel, so nobody would ever leave it.
            self.channels.pop(channel, None)
            await self._get_shard(channel).unsubscribe(channel)
            raise

    async def new_channel(self, prefix: str = "specific.") -> str:
        """As in channels_redis; of several shards, one that answers gets the channel."""
        if len(self.shards) == 1:
            channel: str = await super().new_channel(prefix)
            return channel
        shards = sorted(self.shards, key=lambda shard: (not shard.is_connected, random.random()))
        patience = min(PATIENCE_SECONDS, TIMEOUT_SECONDS * 0.9 / len(shards))
        failure: Exception = TimeoutError()
        for shard in shards:
            channel = self._name_for(shard, prefix)
            try:
                async with asyncio.timeout(patience):
                    await self._subscribe_to_channel(channel)
                return channel
            except (TimeoutError, LayerUnavailable) as error:
                failure = error
        raise failure

    def _name_for(self, shard: Shard, prefix: str) -> str:
        while True:
            channel = f"{self.prefix}{prefix}{uuid.uuid4().hex}"
            if self._get_shard(channel) is shard:
                return channel

    async def group_add(self, group: str, channel: str) -> None:
        try:
            await self._join(group, channel)
        except BaseException:
            # Not in the group, so nothing of it may stay behind.
            await self.group_discard(group, channel)
            raise

    async def _join(self, group: str, channel: str) -> None:
        name = self._get_group_channel_name(group)
        if name != self._everywhere or len(self.shards) == 1:
            await super().group_add(group, channel)
            return
        self.groups.setdefault(name, set()).add(channel)
        # Those that are dead are subscribed to when they are back.
        await self._everywhere_do(shard.subscribe(name) for shard in self.shards)

    async def publish_everywhere(self, name: str, packed: bytes) -> None:
        await self._everywhere_do(shard.publish(name, packed) for shard in self.shards)

    async def _everywhere_do(self, work: Iterable[Coroutine[Any, Any, None]]) -> None:
        tasks = set(map(asyncio.create_task, work))
        self._on_shards |= tasks
        for task in tasks:
            task.add_done_callback(self._done)
        await one_of(tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._on_shards.discard(task)
        if not task.cancelled():
            task.exception()  # no warning from asyncio: the connection has reported it

    async def group_discard(self, group: str, channel: str) -> None:
        name = self._get_group_channel_name(group)
        await super().group_discard(group, channel)
        if name == self._everywhere and name not in self.groups:
            for shard in self.shards:
                await shard.unsubscribe(name)

    async def flush(self) -> None:
        for task in list(self._on_shards):
            task.cancel()
        await super().flush()
        self._heard.clear()
        self.reconnect_callbacks.clear()
        self.receivers.clear()

    def _get_shard(self, channel_or_group_name: str) -> Shard:
        return self.shards[self._topology.index(channel_or_group_name)]

    def _get_group_channel_name(self, group: str) -> str:
        return self._topology.keys.group(group)

    def _deliver_once(self, name: str, message: bytes) -> None:
        """As `_deliver`, of what comes from every shard only the first."""
        if name == self._everywhere:
            if message in self._heard:
                return
            self._heard[message] = None
            if len(self._heard) > MOST_HEARD:
                del self._heard[next(iter(self._heard))]
        self._deliver(name, message)

    def _deliver(self, name: str, message: bytes) -> None:
        """Hand a message to its channel, or to the members of its group."""
        for channel in self.groups.get(name, (name,)):
            receive = self.receivers.get(channel)
            if receive is not None:
                receive(name, message)
            elif channel in self.channels:
                self.channels[channel].put_nowait(message)

    def _report_reconnect(self) -> None:
        for callback in self.reconnect_callbacks:
            callback()

"""The groups of the site, and of rooms, on the pub/sub layer of channels_redis.

This is the only module that knows the insides of channels_redis. It keeps what consumers use of it
(channels, queues, groups) and gives it our shards instead of its connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer, RedisPubSubLoopLayer
from channels_redis.utils import _wrap_close, decode_hosts

from ...rooms.publications import Publication
from ..base import PUBLICATION
from .availability import in_time
from .codec import PUBLICATION_MARK, Codec
from .topology import Shard, Topology


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
            await self._get_layer().group_send(group, message)

    def group_send_sync(self, group: str, message: dict[str, Any]) -> None:
        name = self.topology.keys.group(group)
        with self.topology.client(name) as client:
            client.publish(self.topology.keys.pubsub(name), self.serialize(message))

    async def receive(self, channel: str) -> dict[str, Any]:
        message: dict[str, Any] = await self._get_layer().receive(channel)
        return message

    def on_message(
        self,
        channel: str,
        receive: Callable[[dict[str, Any]], None],
        receive_publication: Callable[[str, str, Publication], None],
    ) -> None:
        deserialize, read_broadcast = self.deserialize, self.codec.read_broadcast

        def take(message: bytes) -> None:
            if message[:1] == PUBLICATION_MARK:
                receive_publication(*read_broadcast(message))
            else:
                receive(deserialize(message))

        self._get_layer().receivers[channel] = take

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._get_layer().reconnect_callbacks.append(callback)

    def deserialize(self, message: bytes) -> dict[str, Any]:
        """Read a message; a publication with the position that Redis put in front of it."""
        if message[:1] != PUBLICATION_MARK:
            plain: dict[str, Any] = super().deserialize(message)
            return plain
        room, epoch, publication = self.codec.read_broadcast(message)
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
        self.receivers: dict[str, Callable[[bytes], None]] = {}
        """The callbacks of channels that have one; messages of other channels wait in a queue."""
        self._topology = topology
        self.shards = topology.open_shards(self._deliver, self._report_reconnect)
        self._shards = self.shards  # instead of connections that channels_redis made but not opened

    async def _subscribe_to_channel(self, channel: str) -> None:
        try:
            await super()._subscribe_to_channel(channel)
        except BaseException:
            # Nobody hears of the channel, so nobody would ever leave it.
            self.channels.pop(channel, None)
            await self._get_shard(channel).unsubscribe(channel)
            raise

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

    def _get_shard(self, channel_or_group_name: str) -> Shard:
        return self.shards[self._topology.index(channel_or_group_name)]

    def _get_group_channel_name(self, group: str) -> str:
        return self._topology.keys.group(group)

    def _deliver(self, name: str, message: bytes) -> None:
        """Hand a message to its channel, or to the members of its group."""
        for channel in self.groups.get(name, (name,)):
            receive = self.receivers.get(channel)
            if receive is not None:
                receive(message)
            elif channel in self.channels:
                self.channels[channel].put_nowait(message)

    def _report_reconnect(self) -> None:
        for callback in self.reconnect_callbacks:
            callback()

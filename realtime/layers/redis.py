"""The room layer on Redis: the pub/sub layer of channels_redis, with what rooms need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

from channels_redis.utils import _consistent_hash
from redis.exceptions import RedisError

from ..exceptions import LayerUnavailable
from ..protocols.messages import Position
from . import scripts
from .base import (
    NOTHING_KEPT,
    PUBLICATION,
    Attendance,
    Change,
    Entry,
    Member,
    Page,
    PresenceChange,
    PresenceNews,
    Retention,
    changes_that_concern,
)
from .commands import run_sync
from .redis_connections import RedisConnections
from .scripts import Call
from .shards import RoomShard, available


class RedisRoomLayer(RedisConnections):
    """A Channels layer for the whole site that also knows rooms.

    Options are those of `channels_redis.pubsub`: `hosts` (URLs or dicts; several are shards, over
    which rooms are spread), `prefix`, `symmetric_encryption_keys`.
    """

    # Channels

    async def new_channel(self, prefix: str = "specific.") -> str:
        async with available():
            channel: str = await self._get_layer().new_channel(prefix)
            return channel

    async def group_add(self, group: str, channel: str) -> None:
        async with available():
            await self._get_layer().group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        async with available():
            await self._get_layer().group_discard(group, channel)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        async with available():
            await self._get_layer().group_send(group, message)

    def group_send_sync(self, group: str, message: dict[str, Any]) -> None:
        offline = self._offline
        name = offline._get_group_channel_name(group)
        client = self._sync_clients[_consistent_hash(name, len(offline._shards))]
        try:
            client.publish(name, self.serialize(message))
        except RedisError as error:
            raise LayerUnavailable("Redis does not answer") from error

    def on_message(self, channel: str, receive: Callable[[dict[str, Any]], None]) -> None:
        self._get_layer().receivers[channel] = lambda data: receive(self.deserialize(data))

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
        return await self.append_soon(room, body, keep, once)

    def append_soon(
        self, room: str, body: bytes, keep: Retention = NOTHING_KEPT, once: str = ""
    ) -> asyncio.Future[Position]:
        call = scripts.append(self._keys, room, self._message(room, body), keep, once)
        return self._shard_of(room).commands.run(call, scripts.to_position)

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
        identity: bytes | None = await shard.commands.send("GETDEL", key)
        return identity

    # Rights that changed, on every shard: they are needed where a room's publications are, and are
    # lost only together with them

    def mark_changes_sync(self, changes: Collection[Change]) -> None:
        try:
            for client in self._sync_clients:
                run_sync(client, scripts.mark(self._keys, changes, False))
        except RedisError as error:
            raise LayerUnavailable("Redis does not answer") from error

    async def mark_changes(self, changes: Collection[Change], *, gone: bool = False) -> None:
        for shard in self._get_layer()._shards:
            await shard.commands.run(scripts.mark(self._keys, changes, gone))

    async def last_changes(self, asked: Sequence[tuple[str, str]]) -> list[float]:
        found = []
        for user, room in asked:
            keys = [self._keys.change(*change) for change in changes_that_concern(user, room)]
            commands = self._shard_of(room).commands
            found.append(commands.send("MGET", *keys, convert=scripts.to_last_change))
        return [await last_change for last_change in found]

    # What goes to Redis, and what comes back

    def _shard_of(self, room: str) -> RoomShard:
        return self._get_layer().room_shard(room)

    async def _run(self, room: str, call: Call) -> Any:
        return await self._shard_of(room).commands.run(call)

    async def _run_many(self, calls: Collection[tuple[str, Call]]) -> list[tuple[str, Any]]:
        """Run calls in one round trip to each shard; each with its room."""
        replies = [(room, self._shard_of(room).commands.run(call)) for room, call in calls]
        return [(room, await reply) for room, reply in replies]

    def _run_sync(self, room: str, call: Call) -> Any:
        client = self._sync_clients[self._offline._shards.index(self._offline.room_shard(room))]
        try:
            return run_sync(client, call)
        except RedisError as error:
            raise LayerUnavailable("Redis does not answer") from error

    def _message(self, room: str, body: bytes) -> bytes:
        message: bytes = self.serialize({"type": PUBLICATION, "room": room, "body": body})
        return message

    def _page(self, reply: list[Any]) -> Page:
        entries = [
            Entry(offset, self.deserialize(message)["body"], at_ms)
            for offset, at_ms, message in scripts.to_entries(reply)
        ]
        return Page(scripts.to_position(reply), entries)

    def _info(self, hidden: bytes) -> bytes:
        info: bytes = self.deserialize(hidden)["info"]
        return info

    def _attendance(self, reply: list[Any]) -> Attendance:
        attendance = scripts.to_attendance(reply)
        return attendance._replace(infos=list(map(self._info, attendance.infos)))

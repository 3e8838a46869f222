"""The room layer on Redis: the pub/sub layer of channels_redis, with what rooms need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import Any

from channels_redis.utils import _consistent_hash
from redis.exceptions import RedisError

from ...exceptions import LayerUnavailable
from ...rooms.publications import NOTHING_KEPT, Position, Publication, Retention
from ..base import PUBLICATION, OnKept
from ..records import (
    Attendance,
    Change,
    Member,
    Page,
    PresenceChange,
    PresenceNews,
    changes_that_concern,
)
from . import scripts
from .connections import RedisConnections
from .pipeline import run_sync
from .scripts import Call
from .topology import RoomShard, available


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

    def on_message(
        self,
        channel: str,
        receive: Callable[[dict[str, Any]], None],
        receive_publication: Callable[[str, str, Publication], None],
    ) -> None:
        def take(message: bytes) -> None:
            if message[:1] == scripts.PUBLICATION_MARK:
                receive_publication(*self._publication(message))
            else:
                receive(self.deserialize(message))

        self._get_layer().receivers[channel] = take

    async def receive(self, channel: str) -> dict[str, Any]:
        message: dict[str, Any] = await self._get_layer().receive(channel)
        return message

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._get_layer().reconnect_callbacks.append(callback)

    def deserialize(self, message: bytes) -> dict[str, Any]:
        """As Channels' own, and for publications with the position that Redis put in front."""
        if message[:1] != scripts.PUBLICATION_MARK:
            plain: dict[str, Any] = super().deserialize(message)
            return plain
        room, epoch, publication = self._publication(message)
        return {
            "type": PUBLICATION,
            "room": room,
            "epoch": epoch,
            "offset": publication.offset,
            "body": publication.body,
        }

    # Publications

    async def append(
        self, room: str, body: bytes, keep: Retention = NOTHING_KEPT, once: str = ""
    ) -> Position:
        call = scripts.append(self._keys, room, self._seal(room, body), keep, once)
        position: Position = await self._shard_of(room).commands.run(call, scripts.to_position)
        return position

    def append_soon(self, room: str, body: bytes, keep: Retention, on_kept: OnKept) -> None:
        packed = scripts.packed_append(self._keys, room, self._seal(room, body), keep)
        self._shard_of(room).commands.run_packed(scripts.APPEND, packed, on_kept)

    def append_sync(
        self, room: str, body: bytes, keep: Retention = NOTHING_KEPT, once: str = ""
    ) -> Position:
        call = scripts.append(self._keys, room, self._seal(room, body), keep, once)
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

    # Publications as they are in Redis: the room and the body, or where the site has keys for it,
    # both encrypted

    @cached_property
    def _is_encrypted(self) -> bool:
        # A serializer of the site's own has perhaps other ways to hide things.
        return getattr(self._serializer, "crypter", self) is not None

    def _seal(self, room: str, body: bytes) -> bytes:
        content = b"%b\n%b" % (room.encode(), body)
        return self.serialize({"publication": content}) if self._is_encrypted else content

    def _unseal(self, message: bytes) -> tuple[str, bytes]:
        if self._is_encrypted:
            message = super().deserialize(message)["publication"]
        room, _, body = message.partition(b"\n")
        return room.decode(), body

    def _publication(self, message: bytes) -> tuple[str, str, Publication]:
        """Room, epoch, and the publication with the position that Redis put in front of it."""
        head, _, content = message.partition(b"\n")
        offset, _, epoch = head.partition(b":")
        room, body = self._unseal(content)
        return room, epoch.decode(), Publication(int(offset[1:]), body)

    def _page(self, reply: list[Any]) -> Page:
        publications = [
            Publication(offset, self._unseal(message)[1], at_ms)
            for offset, at_ms, message in scripts.to_publications(reply)
        ]
        return Page(scripts.to_position(reply), publications)

    def _info(self, hidden: bytes) -> bytes:
        info: bytes = self.deserialize(hidden)["info"]
        return info

    def _attendance(self, reply: list[Any]) -> Attendance:
        attendance = scripts.to_attendance(reply)
        return attendance._replace(infos=list(map(self._info, attendance.infos)))

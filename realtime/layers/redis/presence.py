"""The members of rooms, in Redis."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any

from ...exceptions import LayerUnavailable
from ..base import PRESENCE_LOST
from ..records import Attendance, Member, PresenceChange, PresenceNews
from . import scripts
from .codec import UNREADABLE, Codec
from .refusals import Refused
from .repairs import outcomes, report_repair
from .topology import Topology


class Presence:
    """Writes and reads who is in rooms; see `layers.base.Presence`."""

    def __init__(self, topology: Topology, codec: Codec) -> None:
        self._topology = topology
        self._keys = topology.keys
        self._codec = codec

    async def update_presence(self, changes: Collection[PresenceChange]) -> list[PresenceNews]:
        replies = []
        for change in changes:
            call = scripts.presence(self._keys, self._packed(change))
            replies.append(self._topology.room_pipeline(change.room).run(call))
        news = []
        for change, reply in zip(changes, await outcomes(replies), strict=True):
            if isinstance(reply, Refused) and reply.is_about_data:
                await self._clear(change.room)
            elif not isinstance(reply, LayerUnavailable):
                news.append(await self._news(change.room, reply))
        return news

    async def presence(self, room: str, infos: bool) -> Attendance:
        call = scripts.attendance(self._keys, room, infos)
        try:
            return self._attendance(await self._topology.room_pipeline(room).run(call))
        except UNREADABLE:
            pass
        except Refused as refused:
            if not refused.is_about_data:
                raise
        await self._clear(room)
        return Attendance(0, 0, [])

    def presence_sync(self, room: str, infos: bool) -> Attendance:
        call = scripts.attendance(self._keys, room, infos)
        try:
            return self._attendance(self._topology.run_sync(room, call))
        except UNREADABLE:
            pass
        except Refused as refused:
            if not refused.is_about_data:
                raise
        group = self._keys.room_group(room)
        keys, lost = scripts.presence_keys(self._keys, room), self._lost(room)
        self._topology.do_sync(group, lambda client: client.delete(*keys))
        self._topology.do_sync(group, lambda client: client.publish(*lost))
        report_repair(room, "its presence")
        return Attendance(0, 0, [])

    async def _clear(self, room: str) -> None:
        """Forget what can't be read. All processes then write their members again."""
        pipeline = self._topology.room_pipeline(room)
        try:
            await pipeline.send("DEL", *scripts.presence_keys(self._keys, room))
            await self._ask_for_members(room)
        except LayerUnavailable:
            pass  # the next one who reads or writes tries it again

    async def _ask_for_members(self, room: str) -> None:
        report_repair(room, "its presence")
        await self._topology.room_pipeline(room).send("PUBLISH", *self._lost(room))

    def _lost(self, room: str) -> tuple[str, bytes]:
        name = self._keys.pubsub(self._keys.room_group(room))
        return name, self._codec.pack({"type": PRESENCE_LOST, "room": room})

    def _packed(self, change: PresenceChange) -> PresenceChange:
        present = [
            Member(member.client, member.user, self._codec.pack_info(member.info))
            for member in change.present
        ]
        return PresenceChange(change.room, present, change.ended)

    async def _news(self, room: str, reply: list[Any]) -> PresenceNews:
        try:
            joined, left = (list(map(self._codec.unpack_info, infos)) for infos in reply[:2])
        except UNREADABLE:
            await self._clear(room)
            return PresenceNews(room, [], [])
        if reply[2]:
            with suppress(LayerUnavailable):
                await self._ask_for_members(room)
        return PresenceNews(room, joined, left)

    def _attendance(self, reply: list[Any]) -> Attendance:
        attendance = scripts.to_attendance(reply)
        return attendance._replace(infos=list(map(self._codec.unpack_info, attendance.infos)))

"""The members of rooms, in Redis."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..records import Attendance, Member, PresenceChange, PresenceNews
from . import scripts
from .codec import Codec
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
            replies.append((change.room, self._topology.room_pipeline(change.room).run(call)))
        return [self._news(room, await reply) for room, reply in replies]

    async def presence(self, room: str, infos: bool) -> Attendance:
        call = scripts.attendance(self._keys, room, infos)
        return self._attendance(await self._topology.room_pipeline(room).run(call))

    def presence_sync(self, room: str, infos: bool) -> Attendance:
        call = scripts.attendance(self._keys, room, infos)
        return self._attendance(self._topology.run_sync(room, call))

    def _packed(self, change: PresenceChange) -> PresenceChange:
        present = [
            Member(member.client, member.user, self._codec.pack_info(member.info))
            for member in change.present
        ]
        return PresenceChange(change.room, present, change.ended)

    def _news(self, room: str, reply: list[Any]) -> PresenceNews:
        joined, left = (list(map(self._codec.unpack_info, infos)) for infos in reply)
        return PresenceNews(room, joined, left)

    def _attendance(self, reply: list[Any]) -> Attendance:
        attendance = scripts.to_attendance(reply)
        return attendance._replace(infos=list(map(self._codec.unpack_info, attendance.infos)))

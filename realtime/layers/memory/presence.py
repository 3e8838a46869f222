"""The members of rooms, in one process."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ...conf import realtime_settings
from ..records import Attendance, Member, PresenceChange, PresenceNews


@dataclass(slots=True)
class _RoomState:
    """The connections to a room, each with the time until which it counts as present."""

    members: dict[str, Member] = field(default_factory=dict)
    expires_at: dict[str, float] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    """The last connection of each user who may have left; it ended a moment ago."""

    def connections(self, user: str) -> int:
        return sum(member.user == user for member in self.members.values())

    def forget(self, client: str) -> Member | None:
        """Remove a connection; return its member if it was the last one of its user."""
        member = self.members.pop(client, None)
        self.expires_at.pop(client, None)
        if member is not None and self.ended.get(member.user) == client:
            del self.ended[member.user]
        return member if member is not None and not self.connections(member.user) else None


class MemoryPresence:
    """Stores and reads who is in rooms; see `layers.base.Presence`."""

    _lock: threading.RLock

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._rooms: defaultdict[str, _RoomState] = defaultdict(_RoomState)

    async def update_presence(self, changes: Collection[PresenceChange]) -> list[PresenceNews]:
        with self._lock:
            return [self._update_room(change) for change in changes]

    async def presence(self, room: str, *, infos: bool = True) -> Attendance:
        return self.presence_sync(room, infos=infos)

    def presence_sync(self, room: str, *, infos: bool = True) -> Attendance:
        now = time.monotonic()
        with self._lock:
            state = self._rooms.get(room) or _RoomState()
            there = [
                member for client, member in state.members.items() if state.expires_at[client] > now
            ]
        users = {member.user for member in there}
        return Attendance(len(there), len(users), [member.info for member in there if infos])

    def _update_room(self, change: PresenceChange) -> PresenceNews:
        now = time.monotonic()
        state = self._rooms[change.room]
        news = PresenceNews(change.room, [], [])
        for member in change.present:
            if member.client not in state.members:
                if not state.connections(member.user):
                    news.joined.append(member.info)
                state.members[member.client] = member
                if member.user in state.ended:
                    state.forget(state.ended[member.user])
            elif state.ended.get(member.user) == member.client:
                del state.ended[member.user]
            state.expires_at[member.client] = now + realtime_settings.PRESENCE_TTL_SECONDS
        for client in change.ended:
            ended = state.members.get(client)
            if ended is None:
                continue
            if state.connections(ended.user) > 1:
                state.forget(client)
            else:
                state.expires_at[client] = now + realtime_settings.PRESENCE_LEAVE_SECONDS
                state.ended[ended.user] = client
        # Last, so that a user who has come back in time has not left.
        for client in [client for client, until in state.expires_at.items() if until <= now]:
            if gone := state.forget(client):
                news.left.append(gone.info)
        if not state.members:
            del self._rooms[change.room]
        return news

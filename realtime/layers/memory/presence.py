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
class _Crowd:
    """The connections to a room, and the time until which each of them counts."""

    members: dict[str, Member] = field(default_factory=dict)
    expires_at: dict[str, float] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    """The last connection of each user who may have left: it ended a moment ago."""

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
        self._crowds: defaultdict[str, _Crowd] = defaultdict(_Crowd)

    async def update_presence(self, changes: Collection[PresenceChange]) -> list[PresenceNews]:
        with self._lock:
            return [self._update_crowd(change) for change in changes]

    async def presence(self, room: str, *, infos: bool = True) -> Attendance:
        return self.presence_sync(room, infos=infos)

    def presence_sync(self, room: str, *, infos: bool = True) -> Attendance:
        now = time.monotonic()
        with self._lock:
            crowd = self._crowds.get(room) or _Crowd()
            there = [
                member for client, member in crowd.members.items() if crowd.expires_at[client] > now
            ]
        users = {member.user for member in there}
        return Attendance(len(there), len(users), [member.info for member in there if infos])

    def _update_crowd(self, change: PresenceChange) -> PresenceNews:
        now = time.monotonic()
        crowd = self._crowds[change.room]
        news = PresenceNews(change.room, [], [])
        for member in change.present:
            if member.client not in crowd.members:
                if not crowd.connections(member.user):
                    news.joined.append(member.info)
                crowd.members[member.client] = member
                if member.user in crowd.ended:
                    crowd.forget(crowd.ended[member.user])
            elif crowd.ended.get(member.user) == member.client:
                del crowd.ended[member.user]
            crowd.expires_at[member.client] = now + realtime_settings.PRESENCE_TTL_SECONDS
        for client in change.ended:
            ended = crowd.members.get(client)
            if ended is None:
                continue
            if crowd.connections(ended.user) > 1:
                crowd.forget(client)
            else:
                crowd.expires_at[client] = now + realtime_settings.PRESENCE_LEAVE_SECONDS
                crowd.ended[ended.user] = client
        # After the others: who has come back in time has not left.
        for client in [client for client, until in crowd.expires_at.items() if until <= now]:
            if gone := crowd.forget(client):
                news.left.append(gone.info)
        if not crowd.members:
            del self._crowds[change.room]
        return news

"""The rooms that one connection is in, and by which right."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..changes import changes
from ..codes import CloseCode, Error, UnsubscribeCode
from ..conf import realtime_settings
from ..hub.feed import Start
from ..layers.records import Member
from ..protocols.base import Reply
from ..protocols.requests import CloseSession, CommandError, SubscribeOptions
from ..rights import grants
from ..rights.grants import Grant
from ..rooms.finding import AnyRoom
from ..rooms.publications import Retention, retention

if TYPE_CHECKING:
    from .session import Session

_TRIES = 10


class Subscriptions:
    """Enters rooms and leaves them, and holds the right to each until something changes."""

    __slots__ = ("_hub", "_session", "rooms")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._hub = session.hub
        self.rooms: dict[str, Grant] = {}

    async def enter(self, name: str, options: SubscribeOptions) -> Reply:
        self._refuse_what_is_too_much(name, options)
        try:
            grant, room, start = await self._start(name, options)
            if self._session.is_closed:
                raise CloseSession(CloseCode.NORMAL)
            if options.rejects_unrecovered and start.missed is None:
                raise CommandError(Error.UNRECOVERABLE_POSITION)
            # Added and answered in one step of the loop: no publication comes before the reply.
            self._hub.add(name, self._session, watches=options.join_leave and room.presence)
            self._hold(name, grant)
        finally:
            self._hub.release(name)
        self._tell_of_entry(name, room)
        return _subscribed(start, options, retention(room))

    async def enter_all(self, wanted: Mapping[str, SubscribeOptions]) -> dict[str, Reply]:
        """Enter the rooms of a `connect`. Those that the user may not enter are left out; where it
        fails otherwise, no room is entered."""
        replies = {}
        try:
            await grants.prepare(self._session.caller, wanted)
            for name, options in wanted.items():
                try:
                    replies[name] = await self.enter(name, options)
                except CommandError as refused:
                    if refused.error.temporary:
                        raise
        except BaseException:
            self.leave_all()
            raise
        return replies

    def leave(self, name: str) -> bool:
        """Whether the connection was in the room."""
        if self.rooms.pop(name, None) is None:
            return False
        self._hub.leave(name, self._session)
        self._hub.roster.leave(name, self._session.id)
        self._hub.registry.update(self._session)
        return True

    def leave_all(self) -> None:
        for name in list(self.rooms):
            self.leave(name)

    async def require(self, action: str, name: str) -> tuple[Grant, AnyRoom]:
        """The grant of this connection in a room. A room that may not be entered and one that does
        not exist are refused alike."""
        grant = self.rooms.get(name)
        if grant is None or self.is_outdated(name, grant):
            grant = await grants.agrant(self._session.caller, name)
        if action not in grant.actions or grant.room is None:
            raise CommandError(Error.PERMISSION_DENIED)
        return grant, grant.room

    def is_outdated(self, name: str, grant: Grant) -> bool:
        ended = grant.until is not None and grant.until <= time.time()
        return ended or changes.since(grant.version, self._session.user_id, name)

    def doubt(self) -> None:
        """The token is another one: what is held was granted to the old one."""
        self.rooms |= {name: replace(it, version=-1) for name, it in self.rooms.items()}

    def accept(self, reviewed: Mapping[str, Grant], version: int) -> None:
        """Take the rights as they were at `version`: leave what is not allowed any more."""
        for name, grant in reviewed.items():
            held = self.rooms.get(name)
            if held is None or held.version > version:
                continue
            if grant.actions != held.actions:
                self._hub.reviewer.tell_soon([self._session])
            if "join" in grant.actions:
                self._hold(name, replace(grant, version=version))
            else:
                self._take_away(name)

    def _take_away(self, name: str) -> None:
        if self._session.protocol.has_one_room:
            self._session.close(CloseCode.PERMISSION_DENIED)
        else:
            reason = "you may not be in this room any more"
            self._session.unsubscribe(name, UnsubscribeCode.BY_SERVER, reason)

    def _refuse_what_is_too_much(self, name: str, options: SubscribeOptions) -> None:
        if name in self.rooms:
            raise CommandError(Error.ALREADY_SUBSCRIBED)
        if len(self.rooms) >= realtime_settings.ROOMS_PER_CONNECTION:
            raise CommandError(Error.LIMIT_EXCEEDED)
        if options.recover:
            self._session.refuse_when_congested()

    async def _start(self, name: str, options: SubscribeOptions) -> tuple[Grant, AnyRoom, Start]:
        """The right to enter, and where that begins: still true at the moment of the return."""
        user = self._session.user_id
        for _ in range(_TRIES):
            version = changes.version
            grant, room = await self.require("join", name)
            changed_at = -1.0
            if options.recover:
                changed_at = await self._hub.last_change(user, name)
            start = await self._hub.start(name, options.since)
            if start.missed and changed_at >= start.missed_since_ms:
                # Perhaps the user was not allowed in for a while: nothing of that time is shown.
                start = Start(start.position)
            if version < 0 or not changes.since(version, user, name):
                return grant, room, start
        raise CommandError(Error.TOO_MANY_REQUESTS)

    def _hold(self, name: str, grant: Grant) -> None:
        self.rooms[name] = grant
        self._hub.reviewer.look_again_at(self._session, name, grant.until)
        if self.is_outdated(name, grant):
            self._hub.reviewer.look_at([self._session], name)

    def _tell_of_entry(self, name: str, room: AnyRoom) -> None:
        self._hub.registry.update(self._session)
        info = self._session.client_info()
        if room.presence and info is not None:
            member = Member(self._session.id, self._session.user_id, info)
            self._hub.roster.enter(name, member)


def _subscribed(start: Start, options: SubscribeOptions, keep: Retention) -> Reply:
    reply: Reply = {
        "recoverable": keep.keeps,
        "positioned": True,
        "epoch": start.position.epoch,
        "offset": start.position.offset,
    }
    if options.recover:
        reply |= {"was_recovering": True, "recovered": start.missed is not None}
    if start.missed:
        reply["publications"] = start.missed
    return reply

"""Computes the rights of open connections again: after each change, and from time to time."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Generic, Protocol, TypeVar

from ..authentication import Identity
from ..changes import changes
from ..concurrency import tasks
from ..concurrency.background import RETRY_SECONDS, DelayedCalls, attempt
from ..conf import realtime_settings
from ..layers import RoomLayer
from ..layers.records import Change
from ..rights import audience, grants
from ..rights.grants import Answer, Grant, Question
from .apart import ApartReviews
from .lost_rights import LostRights
from .messages import Audience

logger = logging.getLogger("realtime.reviewer")

SESSIONS_AT_ONCE = 200
TELL_SECONDS = 0.1
PAUSE_MIN_SECONDS = 0.5


class Reviewed(Protocol):
    """A connection, as far as the reviewer knows it."""

    @property
    def identity(self) -> Identity | None: ...
    @property
    def user_id(self) -> str: ...
    @property
    def rooms(self) -> Mapping[str, Grant]: ...
    @property
    def is_stale(self) -> bool:
        """Return whether something of the user has changed since it was read."""
        ...

    def accept_review(self, answer: Answer, version: int) -> None:
        """Take over the rights as they were at `version`."""
        ...

    def suspend(self, rooms: Iterable[str]) -> None:
        """Get nothing of these rooms until a review says that it may, or could not be made."""
        ...

    def resume(self, rooms: Iterable[str]) -> None: ...
    def tell_of_rights(self) -> None: ...


AnyReviewed = TypeVar("AnyReviewed", bound=Reviewed)


class Reviewer(Generic[AnyReviewed]):
    """One per hub. Changes that come close together are looked at together; one review at a time.

    A right that can't be computed because the database is away stays as it is, and is asked again.
    """

    def __init__(self, layer: RoomLayer) -> None:
        self._of_user: dict[str, set[AnyReviewed]] = {}
        # What to look at: whole sessions (None), or some of their rooms.
        self._due: dict[AnyReviewed, set[str] | None] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._reviewing = asyncio.Lock()
        self._delayed = DelayedCalls()
        self._to_tell: set[AnyReviewed] = set()
        self._apart = ApartReviews(self._accept_apart, self._look_again, self._keep)
        # Rooms that some have got access to, who are not told yet.
        self._opened: set[str] = set()
        self._lost_rights = LostRights(layer)

    def enroll(self, session: AnyReviewed) -> None:
        """Keep the rights of a session current from now on. It has an identity."""
        self._of_user.setdefault(session.user_id, set()).add(session)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="realtime-reviewer")
        if session.is_stale:
            self.look_at([session])

    def dismiss(self, session: AnyReviewed) -> None:
        of_user = self._of_user.get(session.user_id)
        if of_user is not None:
            of_user.discard(session)
            if not of_user:
                del self._of_user[session.user_id]
        self._due.pop(session, None)
        self._apart.forget(session)
        self._to_tell.discard(session)

    def sessions_of(self, user: str) -> list[AnyReviewed]:
        return list(self._of_user.get(user, ()))

    def on_change(
        self,
        user: str | None,
        room: str | None,
        told: Audience = Audience.EVERYONE,
        *,
        locks_out: bool = False,
    ) -> None:
        """Something was saved: of a user, of a room, of a user in a room, or of anybody."""
        concerned = self._look_after_change(user, room)
        # So many are looked at in one go. More of them would wait for each other.
        if locks_out and len(concerned) <= SESSIONS_AT_ONCE and (user or room):
            for session in concerned:
                session.suspend(session.rooms if room is None else [room])
        if told is Audience.EVERYONE:
            self.tell_soon(self._everybody() if user is None else self.sessions_of(user))
        elif told is Audience.ENTITLED and room is not None:
            self._opened.add(room)
            self._wake.set()

    def on_gap(self) -> None:
        """Changes may have been missed: look at everything."""
        self._look_after_change(None, None)

    def _look_after_change(self, user: str | None, room: str | None) -> list[AnyReviewed]:
        """Return the sessions that are looked at."""
        changes.record(user, room)
        concerned = self._everybody() if user is None else self.sessions_of(user)
        if room is not None:
            concerned = [session for session in concerned if room in session.rooms]
        self.look_at(concerned, room)
        return concerned

    def tell_soon(self, sessions: list[AnyReviewed]) -> None:
        """Tell them that rights have changed, once for all changes that come close together, such
        as those of one form."""
        if not self._to_tell:
            self._delayed.call_later(TELL_SECONDS, self._tell)
        self._to_tell.update(sessions)

    def _tell(self) -> None:
        to_tell, self._to_tell = self._to_tell, set()
        for session in to_tell:
            session.tell_of_rights()

    def look_at(self, sessions: Iterable[AnyReviewed], room: str | None = None) -> None:
        for session in sessions:
            rooms = self._due.setdefault(session, set())
            if room is None:
                self._due[session] = None
            elif rooms is not None:
                rooms.add(room)
        if self._due:
            self._wake.set()

    def look_again_at(self, session: AnyReviewed, room: str, until: float | None) -> None:
        """Look at a right that ends at `until`, on the monotonic clock, when it does."""
        # What ends later than the next regular review is found by that.
        if until is None or until - time.monotonic() > 2 * realtime_settings.RECHECK_SECONDS:
            return

        def due() -> None:
            if room in session.rooms:
                self.look_at([session], room)

        self._delayed.call_later(max(0.0, until - time.monotonic()) + 0.01, due)

    async def close(self) -> None:
        self._delayed.cancel()
        # A thread can't be interrupted: what it was asked is waited for, within its time limit.
        async with self._reviewing:
            await tasks.cancel(self._task)
        await self._apart.close()
        await self._lost_rights.close()
        self._task = None

    def _everybody(self) -> list[AnyReviewed]:
        return [session for of_user in self._of_user.values() for session in of_user]

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            except TimeoutError:
                # Bulk updates and raw SQL send no signal.
                self.look_at(self._everybody())
            self._wake.clear()
            while self._due:
                await self._review_some()
            while self._opened:
                await self._tell_the_entitled(self._opened.pop())

    async def _tell_the_entitled(self, room: str) -> None:
        """Tell those who may enter a room, but not all the others, who would load their lists."""

        async def tell() -> None:
            for user in await audience.entitled(room, list(self._of_user)):
                self.tell_soon(self.sessions_of(user))

        if not await attempt(tell, "it is not known who may enter a room", logger):
            self._opened.add(room)
            await asyncio.sleep(RETRY_SECONDS)

    def _pause(self) -> float:
        pause: float = realtime_settings.RECHECK_SECONDS * random.uniform(0.75, 1)
        return max(PAUSE_MIN_SECONDS, pause)

    async def _review_some(self) -> None:
        due: dict[AnyReviewed, set[str] | None] = {}
        while self._due and len(due) < SESSIONS_AT_ONCE:
            session, rooms = self._due.popitem()
            due[session] = rooms
        if not await attempt(partial(self._review, due), "rights could not be computed", logger):
            self._put_back(due)
            for session, names in due.items():
                session.resume(names or session.rooms)
            await asyncio.sleep(RETRY_SECONDS)

    def _put_back(self, due: dict[AnyReviewed, set[str] | None]) -> None:
        for session, rooms in due.items():
            for room in [None] if rooms is None else rooms:
                self.look_at([session], room)

    async def _review(self, due: dict[AnyReviewed, set[str] | None]) -> None:
        version = changes.version
        asked = [
            (session, Question(session.identity, list(session.rooms if rooms is None else rooms)))
            for session, rooms in due.items()
            if session.identity is not None
        ]
        async with self._reviewing:
            answers = await grants.review([question for _, question in asked])
        answered = [
            (session, question.identity, answer)
            for (session, question), answer in zip(asked, answers, strict=True)
        ]
        known = [each for each in answered if not each[2].is_in_doubt]
        await self._lost_rights.record(_lost((session, answer) for session, _, answer in known))
        for session, identity, answer in known:
            if session.identity is identity:
                session.accept_review(answer, version)
            else:
                self.look_at([session])  # it has a newer identity by now
        for session, identity, answer in answered:
            if (answer.apart or answer.is_in_doubt) and session in self._of_user.get(
                session.user_id, ()
            ):
                self._apart.begin(session, identity, answer, version)

    async def _accept_apart(
        self, session: AnyReviewed, identity: Identity, answer: Answer, version: int
    ) -> None:
        """Take over what code of the site has answered."""
        await self._lost_rights.record(_lost([(session, answer)]))
        # Reviews replace the identity by one that is equal. Whether the user may stay connected
        # also depends on what is not compared.
        now = session.identity
        has_same = now == identity and now is not None and now.granted is identity.granted
        if now is identity or (has_same and answer.user is not None):
            session.accept_review(answer, version)
        elif session in self._of_user.get(session.user_id, ()):
            self.look_at([session])

    def _keep(self, session: AnyReviewed, room: str | None) -> None:
        """A right is not known now, and stays as it was."""
        session.resume(session.rooms if room is None else [room])

    def _look_again(self, session: AnyReviewed, room: str | None) -> None:
        self.look_at([session], room)


def _lost(answered: Iterable[tuple[AnyReviewed, Answer]]) -> set[Change]:
    """Return whose rights have gone in which rooms: perhaps without a signal."""
    return {
        (session.user_id, room)
        for session, answer in answered
        for room in (session.rooms if answer.user is None else answer.grants)
        if room in session.rooms
        and (answer.user is None or "join" not in answer.grants[room].actions)
    }

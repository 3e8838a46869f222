"""Listens to what is announced to all processes: rights, sign-ins, removals, notices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
from rest_framework_simplejwt.settings import api_settings

from ..authentication import rehashing
from ..authentication.sealing import unseal
from ..changes import changes
from ..codes import CloseCode, UnsubscribeCode
from ..concurrency import tasks
from ..concurrency.background import until_available
from ..exceptions import AuthenticationError, LayerUnavailable
from ..layers import RoomLayer
from ..layers.groups import CONTROL_GROUP
from ..sparse_log import SparseLog
from .messages import (
    Audience,
    NewSignIn,
    Notice,
    Order,
    Orders,
    Recheck,
    Rechecks,
    Removal,
    Revocation,
    from_dict,
)
from .order_log import OrderLog
from .reviewer import Reviewed, Reviewer
from .session_watch import SessionWatch

_not_understood = SparseLog(logging.getLogger("realtime.control"))

LISTEN_SECONDS = 2.0
CATCH_UP_SECONDS = 0.5


class Controlled(Reviewed, Protocol):
    """A connection, as far as orders from elsewhere concern it."""

    @property
    def id(self) -> str: ...
    @property
    def sign_in(self) -> str: ...
    @property
    def session_key(self) -> str: ...
    def close(self, code: CloseCode, reason: str = "") -> None: ...
    def shut_down(self) -> None: ...
    def unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> None: ...
    def show_notice(self, text: str) -> None: ...
    def accept_password(self, digest: str) -> None: ...
    def rename_sign_in(self, sign_in: str, session_key: str) -> None: ...
    def drop_token(self, name: str) -> bool: ...


class ControlListener:
    """Listens to the control group, and carries out its messages on the connections of one process.

    `open_channel` returns the channel on which this process gets what is sent to a group.
    """

    def __init__(
        self,
        layer: RoomLayer,
        sessions: set[Controlled],
        reviewer: Reviewer[Controlled],
        open_channel: Callable[[], Awaitable[str]],
    ) -> None:
        self._layer = layer
        self._sessions = sessions
        self._reviewer = reviewer
        self._open_channel = open_channel
        self._orders = OrderLog(layer)
        self._session_watch = SessionWatch(sessions)
        self._ended_sign_ins: dict[str, float] = {}
        self._listening: asyncio.Task[None] | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self._hears_changes = asyncio.Event()

    async def hear(self) -> None:
        """Wait until this process hears what changes in Django. Raises `LayerUnavailable`."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(), name="realtime-listen")
        try:
            async with asyncio.timeout(LISTEN_SECONDS):
                await self._hears_changes.wait()
        except TimeoutError as error:
            raise LayerUnavailable("what changes can't be heard") from error

    def on_gap(self) -> None:
        """Messages may have been missed: carry them out, and look at everything."""
        changes.record()  # what was read before is not used any more
        if self._catching_up is not None:
            self._catching_up.cancel()
        self._catching_up = asyncio.create_task(self._catch_up(), name="realtime-catch-up")

    async def _catch_up(self) -> None:
        """The missed messages come first: they say which sign-in changed its own password. But a
        review never waits long for them."""
        reading = asyncio.create_task(until_available(self._carry_out_missed))
        try:
            await asyncio.wait([reading], timeout=CATCH_UP_SECONDS)
            self._reviewer.on_gap()
            await reading
            await until_available(self._learn_ended)
        finally:
            await tasks.cancel(reading)

    async def _carry_out_missed(self) -> None:
        for message in await self._orders.missed():
            self.carry_out(message)

    def carry_out(self, received: dict[str, Any]) -> None:
        """Carry out a message of the control group."""
        if not self._orders.is_new(received):
            return
        try:
            message = from_dict(received)
        except msgspec.ValidationError as error:
            # Another version of this app may run beside this one.
            _not_understood.warning("a control message was not understood: %s", error)
            return
        if isinstance(message, Recheck):
            self._recheck([message])
        elif isinstance(message, Rechecks):
            self._recheck(message.changes)
        else:
            for order in message.orders if isinstance(message, Orders) else [message]:
                self._obey(order)

    def _obey(self, order: Order) -> None:
        if isinstance(order, NewSignIn):
            self._rename_sign_in(order)
        elif isinstance(order, Removal):
            self._remove(order)
        elif isinstance(order, Notice):
            self._show_notice(order)
        else:
            self._revoke(order)

    def _recheck(self, changes: list[Recheck]) -> None:
        for change in changes:
            if change.user and change.rehashed:
                rehashing.note(change.user, change.rehashed, change.password)
            for session in self._of_sign_ins(change.user, change.own):
                session.accept_password(change.password)
            self._reviewer.on_change(
                *(change.user, change.room, change.audience), locks_out=change.locks_out
            )

    def enroll(self, session: Controlled) -> None:
        """Keep the rights of a session current. Raises `AuthenticationError` if signed out."""
        if session.sign_in and session.sign_in in self._ended_sign_ins:
            raise AuthenticationError("signed out")
        self._reviewer.enroll(session)
        if session.session_key:
            self._session_watch.watch(session.session_key)

    async def close(self) -> None:
        await self._session_watch.close()
        await tasks.cancel(self._listening, self._catching_up)
        if self._hears_changes.is_set():
            self._hears_changes.clear()
            changes.stop_listening()

    async def _listen(self) -> None:
        """Hear what changes in Django. Until that works everything counts as stale."""
        await until_available(self._join_group)
        changes.listen()
        self._hears_changes.set()
        self._reviewer.on_gap()

    async def _join_group(self) -> None:
        await self._orders.start()
        await self._layer.group_add(CONTROL_GROUP, await self._open_channel())
        await self._carry_out_missed()  # what came in between
        await self._learn_ended()

    async def _learn_ended(self) -> None:
        """Which sign-ins have ended that this process did not hear of."""
        for sign_in, seconds in (await self._layer.ended_sign_ins()).items():
            self._end_sign_in(sign_in, seconds)

    def _rename_sign_in(self, message: NewSignIn) -> None:
        for session in [each for each in self._sessions if each.sign_in == message.old]:
            if message.user and session.user_id == message.user:
                self._rename(session, message)
            else:
                session.close(CloseCode.INVALID_TOKEN, "signed out")

    def _rename(self, session: Controlled, message: NewSignIn) -> None:
        """It goes on under its new key, and ends with the session that has this key."""
        key = unseal(message.sealed_key, session.session_key) if session.session_key else ""
        session.rename_sign_in(message.new, key)
        if key:
            self._session_watch.watch(key)

    def _remove(self, message: Removal) -> None:
        """End connections, or their subscription to a room, as the site has asked."""
        sign_in, client, room = message.sign_in, message.client, message.room
        for session in self._of_user(message.user):
            if (sign_in and session.sign_in != sign_in) or (client and session.id != client):
                continue
            if room:
                reason = message.reason or "taken out by the server"
                session.unsubscribe(room, UnsubscribeCode.BY_SERVER, reason)
            else:
                session.close(CloseCode(message.code), message.reason)
        if sign_in and not room:
            lifetime = api_settings.ACCESS_TOKEN_LIFETIME.total_seconds()
            self._end_sign_in(sign_in, lifetime)

    def _revoke(self, message: Revocation) -> None:
        for session in self._of_user(message.user):
            session.drop_token(message.room)
        # Also a client that presents its token at this moment is looked up again.
        self._reviewer.on_change(message.user, message.room, Audience.NOBODY, locks_out=True)

    def _end_sign_in(self, sign_in: str, seconds: float) -> None:
        """An access token outlives its sign-in by some minutes: it must not come back with it."""
        now = asyncio.get_running_loop().time()
        ended = self._ended_sign_ins.items()
        self._ended_sign_ins = {key: until for key, until in ended if until > now}
        self._ended_sign_ins[sign_in] = now + seconds
        for session in [each for each in self._sessions if each.sign_in == sign_in]:
            session.close(CloseCode.INVALID_TOKEN, "signed out")

    def _show_notice(self, message: Notice) -> None:
        client, room = message.client, message.room
        for session in self._of_user(message.user):
            if (not client or session.id == client) and (not room or room in session.rooms):
                session.show_notice(message.text)

    def _of_user(self, user: str | None) -> list[Controlled]:
        """The sessions of a user, or all of them, also those that are not authenticated yet."""
        return list(self._sessions) if user is None else self._reviewer.sessions_of(user)

    def _of_sign_ins(self, user: str | None, sign_ins: list[str]) -> list[Controlled]:
        if user is None or not sign_ins:
            return []
        return [each for each in self._reviewer.sessions_of(user) if each.sign_in in sign_ins]

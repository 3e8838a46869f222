"""What is said to the hubs of all processes: about rights, sign-ins and removals, and notices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from rest_framework_simplejwt.settings import api_settings

from ..changes import changes
from ..codes import CloseCode, UnsubscribeCode
from ..concurrency import tasks
from ..exceptions import LayerUnavailable
from ..layers import RoomLayer
from ..layers.base import NEW_SIGN_IN, NOTICE, RECHECK, REMOVAL
from ..layers.groups import CONTROL_GROUP
from .reviewer import Reviewer

if TYPE_CHECKING:
    from ..connection.session import Session

logger = logging.getLogger("realtime.control")

LISTEN_RETRY_SECONDS = 1.0
LISTEN_SECONDS = 2.0


class Control:
    """Hears the control group, and does what its messages ask for, with the sessions of one hub.

    `start_receiving` returns the channel on which the hub gets what comes for a group.
    """

    def __init__(
        self,
        layer: RoomLayer,
        sessions: set[Session],
        reviewer: Reviewer,
        start_receiving: Callable[[], Awaitable[str]],
    ) -> None:
        self._layer = layer
        self._sessions = sessions
        self._reviewer = reviewer
        self._start_receiving = start_receiving
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
        """Messages may have been missed: look at everything."""
        self._reviewer.on_gap()
        self._catching_up = asyncio.create_task(self._catch_up(), name="realtime-catch-up")

    def obey(self, message: dict[str, Any]) -> None:
        if message["type"] == RECHECK:
            for session in self._of_sign_ins(message["user"], message["own"]):
                session.accept_password(message["password"])
            self._reviewer.on_change(message["user"], message["room"])
        elif message["type"] == NEW_SIGN_IN:
            self._rename_sign_in(**message)
        elif message["type"] == REMOVAL:
            self._remove(**message)
        elif message["type"] == NOTICE:
            self._show_notice(**message)
        else:
            logger.warning("a message of unknown type came to the hub: %r", message["type"])

    def has_ended(self, sign_in: str) -> bool:
        return sign_in in self._ended_sign_ins

    async def close(self) -> None:
        await tasks.cancel(self._listening, self._catching_up)
        if self._hears_changes.is_set():
            self._hears_changes.clear()
            changes.stop_listening()

    async def _listen(self) -> None:
        """Hear what changes in Django. Until that works everything counts as stale."""
        while True:
            try:
                await self._layer.group_add(CONTROL_GROUP, await self._start_receiving())
                await self._learn_ended()
                break
            except LayerUnavailable:
                await asyncio.sleep(LISTEN_RETRY_SECONDS)
        changes.listen()
        self._hears_changes.set()
        self._reviewer.on_gap()

    async def _catch_up(self) -> None:
        while True:
            try:
                await self._learn_ended()
                return
            except LayerUnavailable:
                await asyncio.sleep(LISTEN_RETRY_SECONDS)

    async def _learn_ended(self) -> None:
        """Which sign-ins have ended that this process did not hear of."""
        for sign_in, seconds in (await self._layer.ended_sign_ins()).items():
            self._end_sign_in(sign_in, seconds)

    def _rename_sign_in(self, *, type: str, user: str, old: str, new: str) -> None:
        for session in [it for it in self._sessions if it.sign_in == old]:
            if user and session.user_id == user:
                session.rename_sign_in(new)
            else:
                session.close(CloseCode.INVALID_TOKEN, "signed out")

    def _remove(
        self,
        *,
        type: str,
        user: str | None,
        session: str,
        client: str,
        room: str,
        code: int,
        reason: str,
    ) -> None:
        """End connections, or their being in a room, as the server was asked to."""
        for it in self._of_user(user):
            if (session and it.sign_in != session) or (client and it.id != client):
                continue
            if room:
                it.unsubscribe(room, UnsubscribeCode.BY_SERVER, reason or "taken out by the server")
            else:
                it.close(CloseCode(code), reason)
        if session and not room:
            lifetime = api_settings.ACCESS_TOKEN_LIFETIME.total_seconds()
            self._end_sign_in(session, lifetime)

    def _end_sign_in(self, sign_in: str, seconds: float) -> None:
        """An access token outlives its sign-in by some minutes: it must not come back with it."""
        now = asyncio.get_running_loop().time()
        ended = self._ended_sign_ins.items()
        self._ended_sign_ins = {it: until for it, until in ended if until > now}
        self._ended_sign_ins[sign_in] = now + seconds
        for session in [it for it in self._sessions if it.sign_in == sign_in]:
            session.close(CloseCode.INVALID_TOKEN, "signed out")

    def _show_notice(
        self, *, type: str, user: str | None, client: str, room: str, text: str
    ) -> None:
        for it in self._of_user(user):
            if (not client or it.id == client) and (not room or room in it.rooms):
                it.show_notice(text)

    def _of_user(self, user: str | None) -> list[Session]:
        """The sessions of a user, or all, also those that have not said yet who they are."""
        return list(self._sessions) if user is None else self._reviewer.sessions_of(user)

    def _of_sign_ins(self, user: str | None, sign_ins: list[str]) -> list[Session]:
        if user is None or not sign_ins:
            return []
        return [it for it in self._reviewer.sessions_of(user) if it.sign_in in sign_ins]

"""Reviews of rights that code of the site decides: each on its own, so that none delays another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

from ..authentication import Identity
from ..concurrency import tasks
from ..concurrency.background import DelayedCalls
from ..exceptions import LayerUnavailable
from ..rights import grants
from ..rights.grants import Answer
from ..rooms.finding import AnyRoom

logger = logging.getLogger("realtime.reviewer")

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0

Session = TypeVar("Session")


class ApartReviews(Generic[Session]):
    """Asks the site's rules for one connection and room at a time.

    A right that can't be told now stays as it was. It is asked again after a pause, which grows
    each time. While one is being asked, changes of the same right wait for it.
    """

    def __init__(
        self,
        accept: Callable[[Session, Identity, Answer, int], Awaitable[None]],
        look_again: Callable[[Session, str | None], None],
        keep: Callable[[Session, str | None], None],
    ) -> None:
        """`accept` takes over the answer to an identity at a version of `changes`. `look_again`
        reviews a room of a connection once more; None is the whole connection. `keep` is called
        when the right can't be told now."""
        self._accept = accept
        self._look_again = look_again
        self._keep = keep
        self._running: dict[Session, dict[str | None, asyncio.Task[None]]] = {}
        self._asked_again: set[tuple[Session, str | None]] = set()
        self._pauses: dict[Session, dict[str | None, float]] = {}
        self._delayed = DelayedCalls()

    def begin(self, session: Session, identity: Identity, answer: Answer, version: int) -> None:
        """Ask what `answer` leaves out."""
        if answer.is_in_doubt:
            self._start(session, None, self._ask_about_user(session, identity, answer, version))
            return
        for name, room in answer.apart.items():
            asking = self._ask_about_room(session, identity, answer.user, name, room, version)
            self._start(session, name, asking)

    def forget(self, session: Session) -> None:
        """The connection has ended."""
        self._pauses.pop(session, None)
        for name, task in self._running.pop(session, {}).items():
            self._asked_again.discard((session, name))
            if task is not asyncio.current_task():
                task.cancel()

    async def close(self) -> None:
        self._delayed.cancel()
        running = [task for of_one in self._running.values() for task in of_one.values()]
        self._running = {}
        await tasks.cancel(*running)

    def _start(self, session: Session, name: str | None, asking: Coroutine[Any, Any, None]) -> None:
        running = self._running.setdefault(session, {})
        if name in running:
            asking.close()
            self._asked_again.add((session, name))
            return
        task = running[name] = asyncio.create_task(asking, name="realtime-rules")
        task.add_done_callback(partial(self._on_end, session, name))

    def _on_end(self, session: Session, name: str | None, task: asyncio.Task[None]) -> None:
        running = self._running.get(session, {})
        if running.get(name) is not task:
            return  # the connection has ended
        del running[name]
        if not running:
            del self._running[session]
        error = None if task.cancelled() else task.exception()
        if error is None:
            self._pauses.get(session, {}).pop(name, None)
            if not self._pauses.get(session):
                self._pauses.pop(session, None)
        elif not isinstance(error, LayerUnavailable):
            logger.error("a rule could not be asked", exc_info=error)
        if (session, name) in self._asked_again:
            self._asked_again.discard((session, name))
            self._look_again(session, name)
        elif error is not None:
            self._keep(session, name)
            self._look_again_later(session, name)

    def _look_again_later(self, session: Session, name: str | None) -> None:
        pauses = self._pauses.setdefault(session, {})
        pause = pauses.get(name, FIRST_PAUSE_SECONDS)
        pauses[name] = min(2 * pause, LONGEST_PAUSE_SECONDS)

        def look_again() -> None:
            if name in self._pauses.get(session, {}):
                self._look_again(session, name)

        self._delayed.call_later(pause, look_again)

    async def _ask_about_user(
        self, session: Session, identity: Identity, answer: Answer, version: int
    ) -> None:
        if not await grants.is_still_valid(identity, answer.user):
            await self._accept(session, identity, Answer(None), version)
            return
        await self._accept(session, identity, Answer(answer.user, answer.grants), version)
        self.begin(session, identity, Answer(answer.user, apart=answer.apart), version)

    async def _ask_about_room(
        self,
        session: Session,
        identity: Identity,
        user: Any,
        name: str,
        room: AnyRoom | None,
        version: int,
    ) -> None:
        grant = await grants.ask_rules(identity, user, name, room)
        await self._accept(session, identity, Answer(user, {name: grant}), version)

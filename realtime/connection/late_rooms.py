"""Rooms of a `connect` that could not be entered at that moment: the connection enters them later.

A dead Redis of several, or a rule that can't be asked now, must not keep a client out of its other
rooms. The SDKs take a room that is missing in the reply for left, so the client gets a subscribe
push when it is in.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Collection, Mapping

from ..concurrency import tasks
from ..conf import realtime_settings
from ..exceptions import RealtimeError
from ..protocols.base import Reply
from ..protocols.frames import size_of
from ..protocols.requests import CloseSession, CommandError, SubscribeOptions
from .allowance import charge, charge_reply
from .batches import Budget
from .joining import enter
from .session import Session

logger = logging.getLogger("realtime.late_rooms")

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0


class LateRooms:
    """Tries to enter rooms, with growing pauses, until each is entered, refused or forgotten."""

    def __init__(self, session: Session, wanted: Mapping[str, SubscribeOptions]) -> None:
        self._session = session
        self._wanted = dict(wanted)
        self._task = asyncio.create_task(self._enter_all(), name="realtime-late-rooms")
        session.late_rooms = self

    @property
    def names(self) -> Collection[str]:
        """The rooms that are not settled yet."""
        return self._wanted.keys()

    def forget(self, name: str) -> None:
        """The client does not want to be in the room any more."""
        self._wanted.pop(name, None)

    def stop(self) -> None:
        self._wanted.clear()
        tasks.cancel_soon(self._task)

    async def _enter_all(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._wanted:
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            budget = Budget(realtime_settings.RECOVERY_MAX_BYTES)
            for name, options in list(self._wanted.items()):
                if name in self._wanted and await self._is_settled(name, options, budget):
                    self.forget(name)

    async def _is_settled(self, name: str, options: SubscribeOptions, budget: Budget) -> bool:
        """Try to enter a room. Return whether it need not be tried again."""
        session = self._session
        try:
            charge(session)
            entered = await enter(session, name, options, budget=budget)
        except (CommandError, RealtimeError) as refused:
            return not refused.error.temporary
        except CloseSession as close:
            session.close(close.code, close.reason)
            return True
        except Exception:
            logger.exception("a room could not be entered")
            return True
        if name not in self._wanted:
            session.leave(name)  # the client has left it in the meantime
        else:
            self._tell(name, entered)
        return True

    def _tell(self, name: str, entered: Reply) -> None:
        """What was missed follows the push, and comes before all later publications."""
        session = self._session
        missed = entered.pop("publications", ())
        frames = [session.protocol.encode_subscribe(name, entered)]
        frames += [session.protocol.encode_publication(name, each) for each in missed]
        for frame in frames:
            session.write(frame)
        charge_reply(session, sum(map(size_of, frames)))

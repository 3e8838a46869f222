"""Members of a room that get nothing for now, because a right of theirs is being looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..conf import realtime_settings
from ..rooms.publications import Publication

MOST_KEPT = 500

Member = TypeVar("Member")


@dataclass(slots=True)
class _Suspension:
    kept: list[Publication]
    limit: asyncio.TimerHandle


class Suspensions(Generic[Member]):
    """Keeps what is published for those who are suspended, until they are resumed or dropped.

    `give` gets a member and what was kept for it.
    """

    __slots__ = ("_give", "_of")

    def __init__(self, give: Callable[[Member, list[Publication]], None]) -> None:
        self._give = give
        self._of: dict[Member, _Suspension] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    def __contains__(self, member: Member) -> bool:
        return member in self._of

    def begin(self, member: Member) -> None:
        # A rule that hangs is a no before that. Nothing else should take so long.
        seconds = 2 * realtime_settings.RIGHTS_SECONDS
        limit = asyncio.get_running_loop().call_later(seconds, self.end, member)
        suspension = self._of.setdefault(member, _Suspension([], limit))
        if suspension.limit is not limit:
            suspension.limit.cancel()
            suspension.limit = limit

    def keep(self, member: Member, publications: list[Publication]) -> bool:
        """Keep publications for a member. Return False if there are too many by now."""
        kept = self._of[member].kept
        kept += publications
        return len(kept) <= MOST_KEPT

    def end(self, member: Member) -> None:
        """Give a member what was kept for it."""
        kept = self.drop(member)
        if kept:
            self._give(member, kept)

    def drop(self, member: Member) -> list[Publication]:
        """Forget a member. Return what was kept for it."""
        suspension = self._of.pop(member, None)
        if suspension is None:
            return []
        suspension.limit.cancel()
        return suspension.kept

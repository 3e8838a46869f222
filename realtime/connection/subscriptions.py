"""The rooms that one connection is in, and by which right it is in each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from ..changes import changes
from ..rights.grants import Grant


class Subscriptions:
    """Holds the grant for each room until something changes."""

    __slots__ = ("rooms",)

    def __init__(self) -> None:
        self.rooms: dict[str, Grant] = {}

    def hold(self, name: str, grant: Grant) -> None:
        self.rooms[name] = grant

    def drop(self, name: str) -> bool:
        """Return whether the connection was in the room."""
        return self.rooms.pop(name, None) is not None

    def doubt(self) -> None:
        """Ask for every right again: the token that it was granted to was replaced."""
        self.rooms |= {name: replace(grant, version=-1) for name, grant in self.rooms.items()}

    def newer(self, reviewed: Mapping[str, Grant], version: int) -> dict[str, tuple[Grant, Grant]]:
        """Of each room that was reviewed, the grant as it is held and as it was at `version`.

        Rooms that were left since, or granted again after `version`, are left out.
        """
        return {
            name: (held, replace(grant, version=version))
            for name, grant in reviewed.items()
            if (held := self.rooms.get(name)) is not None and held.version <= version
        }


def is_outdated(grant: Grant, user: str, name: str) -> bool:
    """Return whether a grant has to be looked up again before it is used."""
    ended = grant.until is not None and grant.until <= time.monotonic()
    return ended or changes.is_stale(grant.version, user, name)

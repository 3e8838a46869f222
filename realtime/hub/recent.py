"""The last publications of a room, kept for members who are about to join."""

from __future__ import annotations

from collections import deque

from ..rooms.publications import Publication

KEPT_MAX = 1_000
KEPT_MAX_BYTES = 1_048_576


class RecentPublications:
    """Publications in the order of their offsets; the oldest are dropped if there are too many."""

    __slots__ = ("_dropped", "_kept", "_size")

    def __init__(self) -> None:
        self._kept: deque[Publication] = deque()
        self.clear()

    def add(self, publication: Publication) -> None:
        self._kept.append(publication)
        self._size += len(publication.body)
        while len(self._kept) > KEPT_MAX or self._size > KEPT_MAX_BYTES:
            oldest = self._kept.popleft()
            self._size -= len(oldest.body)
            self._dropped = oldest.offset

    def after(self, offset: int) -> list[Publication] | None:
        """Return all publications after `offset`, None if one of them was dropped."""
        if self._dropped > offset:
            return None
        return [kept for kept in self._kept if kept.offset > offset]

    def clear(self) -> None:
        self._kept.clear()
        self._size = 0
        self._dropped = 0

"""Tracks changes of users and rooms, to detect stale cache entries."""

from __future__ import annotations

import os
from threading import Lock

MOST_KEPT = 20_000


class Changes:
    """Numbers the changes that this process is notified of.

    A change is recorded by the thread that saves, and again by every process that is notified.
    A cache stores `version` from before it reads, and asks `is_stale` before it uses the entry. An
    entry that was read before a change is never used after it, whatever the order of threads.
    """

    def __init__(self) -> None:
        self._version = 0
        self._everything = 0
        self._latest: dict[tuple[str | None, str | None], int] = {}
        self._listeners = 0
        self._lock = Lock()

    @property
    def version(self) -> int:
        """The number of the last change; -1 without notifications, when everything is stale."""
        return self._version if self._listeners else -1

    def record(self, user: str | None = None, room: str | None = None) -> None:
        """Record a change of a user, a room, a user in a room, or, without arguments, of all."""
        with self._lock:
            # `_version` is set last: `is_stale` runs without the lock, and trusts it first.
            version = self._version + 1
            if (user is None and room is None) or len(self._latest) >= MOST_KEPT:
                # The forgotten entries count as changed.
                self._everything = version
                self._latest = {}
            else:
                self._latest[user, room] = version
            self._version = version

    def is_stale(self, version: int, user: str, room: str | None = None) -> bool:
        """Return whether data on `user` (in `room`) that was read at `version` may be wrong now."""
        if version < 0 or not self._listeners:
            return True
        if version == self._version:
            return False
        latest = self._latest
        return version < max(
            self._everything,
            latest.get((user, None), 0),
            latest.get((None, room), 0) if room is not None else 0,
            latest.get((user, room), 0) if room is not None else 0,
        )

    def free_lock(self) -> None:
        """Take a new lock in a process that was forked: the thread that held the old one may not
        be there."""
        self._lock = Lock()

    def listen(self) -> None:
        """Start to rely on notifications. Everything that was read before is stale."""
        self._listeners += 1
        self.record()

    def stop_listening(self) -> None:
        self._listeners -= 1


changes = Changes()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=changes.free_lock)

"""Which users and rooms have changed since when: tells what is known from what is stale."""

from __future__ import annotations

from threading import Lock

MOST_KEPT = 20_000


class Changes:
    """Numbers the changes that this process hears of.

    Recorded by the thread that saves, and again by each process that is told of it.
    Whoever looks something up notes `version` before, and asks `is_stale` afterwards: only what was
    read before a change and used after it is stale, however the two interleave.
    """

    def __init__(self) -> None:
        self._version = 0
        self._everything = 0
        self._latest: dict[tuple[str | None, str | None], int] = {}
        self._listeners = 0
        self._lock = Lock()

    @property
    def version(self) -> int:
        """-1 while changes are not heard: then everything counts as stale."""
        return self._version if self._listeners else -1

    def record(self, user: str | None = None, room: str | None = None) -> None:
        """Something of this user, of this room, of this user in this room, or of anybody."""
        with self._lock:
            # What others compare with is in place before the number that lets them look.
            version = self._version + 1
            if (user is None and room is None) or len(self._latest) >= MOST_KEPT:
                # Who is forgotten counts as changed.
                self._everything = version
                self._latest = {}
            else:
                self._latest[user, room] = version
            self._version = version

    def is_stale(self, version: int, user: str, room: str | None = None) -> bool:
        """Whether what was known of `user` (in `room`) at `version` may be wrong now."""
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

    def listen(self) -> None:
        """From now on changes are heard; what was known before is stale."""
        self._listeners += 1
        self.record()

    def stop_listening(self) -> None:
        self._listeners -= 1


changes = Changes()

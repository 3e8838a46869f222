"""Flow control: bytes sent to a client minus bytes it has acknowledged."""

from __future__ import annotations

from collections import deque


class SendWindow:
    """Counts bytes. Pings among the messages are marks: the client answers them in order, and each
    answer acknowledges the bytes before it."""

    __slots__ = ("_marks", "_read_bytes", "sent_bytes", "size")

    def __init__(self, size: int) -> None:
        self.sent_bytes = 0
        """In all. A writer that stays below `quiet_until` may add to it without `count`."""
        self.size = size
        """The bytes that may be in flight."""
        self._read_bytes = 0
        self._marks: deque[int] | None = None

    @property
    def is_open(self) -> bool:
        """Return whether more may be sent."""
        return self.sent_bytes - self._read_bytes < self.size

    @property
    def excess_bytes(self) -> int:
        """The bytes in flight beyond the size: the window was open, and the message was large."""
        return max(0, self.sent_bytes - self._read_bytes - self.size)

    @property
    def quiet_until(self) -> int:
        """Until so many bytes are sent in all, the window is open and no mark is due."""
        return min(self._last_mark + self.size // 2, self._read_bytes + self.size)

    def count(self, size: int, pings: int) -> bool:
        """Count bytes that are sent, and the pings among them. Return whether a ping is due, which
        then has to follow."""
        self.sent_bytes += size
        is_due = not pings and self.sent_bytes - self._last_mark >= self.size // 2
        if is_due or pings:
            if self._marks is None:
                self._marks = deque()
            self._marks.extend([self.sent_bytes] * (pings or 1))
        return is_due

    def acknowledge(self) -> bool:
        """The client answers a ping. Return whether there was one to answer."""
        if not self._marks:
            return False
        self._read_bytes = self._marks.popleft()
        return True

    @property
    def _last_mark(self) -> int:
        return self._marks[-1] if self._marks else self._read_bytes

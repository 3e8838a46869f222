"""How much is under way to a client: what was sent, less what it has said to have read."""

from __future__ import annotations

from collections import deque


class SendWindow:
    """Counts bytes. Pings among the messages are marks: the client answers them in their order, and
    so tells how far it has read."""

    __slots__ = ("_marks", "_read_bytes", "sent_bytes", "size")

    def __init__(self, size: int) -> None:
        self.sent_bytes = 0
        """In all; whoever stays below `quiet_until` may add to it without `count`."""
        self.size = size
        """The bytes that may be under way."""
        self._read_bytes = 0
        self._marks: deque[int] | None = None

    @property
    def is_open(self) -> bool:
        """Whether more may be sent."""
        return self.sent_bytes - self._read_bytes < self.size

    @property
    def quiet_until(self) -> int:
        """As long as fewer bytes are sent in all, the window is open and no mark is due."""
        return min(self._last_mark + self.size // 2, self._read_bytes + self.size)

    def count(self, size: int, pings: int) -> bool:
        """Note that so many bytes are sent, with so many pings among them or behind. Returns
        whether a ping is due, which then has to follow."""
        self.sent_bytes += size
        is_due = not pings and self.sent_bytes - self._last_mark >= self.size // 2
        if is_due or pings:
            if self._marks is None:
                self._marks = deque()
            self._marks.extend([self.sent_bytes] * (pings or 1))
        return is_due

    def acknowledge(self) -> bool:
        """The client answers a ping. Returns whether it was asked."""
        if not self._marks:
            return False
        self._read_bytes = self._marks.popleft()
        return True

    @property
    def _last_mark(self) -> int:
        return self._marks[-1] if self._marks else self._read_bytes

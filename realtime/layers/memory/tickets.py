"""The identities behind single-use tickets, in one process."""

from __future__ import annotations

import threading
import time
from typing import Any


class MemoryTickets:
    """Stores the identities behind tickets; see `layers.base.Tickets`."""

    _lock: threading.RLock

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._tickets: dict[str, tuple[float, bytes]] = {}

    def store_ticket(self, ticket: str, identity: bytes, ttl_seconds: int) -> None:
        now = time.monotonic()
        with self._lock:
            self._tickets = {key: kept for key, kept in self._tickets.items() if kept[0] > now}
            self._tickets[ticket] = (now + ttl_seconds, identity)

    async def astore_ticket(self, ticket: str, identity: bytes, ttl_seconds: int) -> None:
        self.store_ticket(ticket, identity, ttl_seconds)

    async def redeem_ticket(self, ticket: str) -> bytes | None:
        with self._lock:
            expires_at, identity = self._tickets.pop(ticket, (0.0, b""))
        return identity if expires_at > time.monotonic() else None

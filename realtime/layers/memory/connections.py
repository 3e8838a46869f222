"""The live connections, in one process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from ..records import StoredProcess


class MemoryConnections:
    """Counts and lists connections; see `layers.base.Connections`."""

    _lock: threading.RLock

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._processes: dict[str, bytes] = {}
        self._connections: dict[str, dict[str, bytes]] = {}
        self._metrics: dict[str, bytes] = {}
        self._users: dict[str, str] = {}
        """The user of each connection that counts."""

    async def admit(
        self, process: str, connections: Sequence[tuple[str, str]], limit: int
    ) -> list[bool]:
        with self._lock:
            return [self._admit(client, user, limit) for client, user in connections]

    def _admit(self, client: str, user: str, limit: int) -> bool:
        others = sum(owner == user for other, owner in self._users.items() if other != client)
        if limit and others >= limit:
            return False
        self._users[client] = user
        return True

    async def beat(self, process: str, info: bytes, ttl_seconds: float) -> bool:
        with self._lock:
            known = process in self._processes
            if ttl_seconds:
                self._processes[process] = info
                self._connections.setdefault(process, {})
            else:
                self._processes.pop(process, None)
                self._metrics.pop(process, None)
                for client in self._connections.pop(process, {}):
                    self._users.pop(client, None)
            return known

    async def write_connections(
        self,
        process: str,
        present: Mapping[str, bytes],
        ended: Mapping[str, str],
        ttl_seconds: float,
    ) -> set[str]:
        with self._lock:
            connections = self._connections.setdefault(process, {})
            for client in ended:
                connections.pop(client, None)
                self._users.pop(client, None)
            connections.update(present)
        return set()

    def live_processes_sync(self) -> list[StoredProcess]:
        with self._lock:
            return [
                StoredProcess(info, list(self._connections[process].values()))
                for process, info in self._processes.items()
            ]

    async def write_metrics(self, process: str, snapshot: bytes, ttl_seconds: float) -> None:
        with self._lock:
            self._metrics[process] = snapshot

    def metrics_sync(self) -> list[bytes]:
        with self._lock:
            return [self._metrics[name] for name in self._processes if name in self._metrics]

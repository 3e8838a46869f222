"""The database connections of a test, for the threads that work for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from ..concurrency import threads


class SharedConnections:
    """The connections of the thread that makes it. Only there are the rows of a `TestCase`, which
    are never committed, and in SQLite's memory there is nothing else."""

    def __init__(self) -> None:
        self.connections = {alias: connections[alias] for alias in connections}
        self._lock = threading.RLock()

    def lend(self) -> None:
        """Let this thread use them until its end."""
        for alias, connection in self.connections.items():
            connections[alias] = connection

    def call(self, function: Callable[[], Any]) -> Any:
        """Call `function` with them. One call at a time: a connection has one transaction."""
        with self._lock:
            self.lend()
            try:
                return function()
            finally:
                for alias in self.connections:
                    del connections[alias]


@contextmanager
def shared_connections() -> Iterator[SharedConnections]:
    """Inside of it, the threads of this app use the connections of this one."""
    shared = SharedConnections()
    for connection in shared.connections.values():
        connection.inc_thread_sharing()
    threads.wrap_calls(shared.call)
    try:
        yield shared
    finally:
        threads.wrap_calls(None)
        for connection in shared.connections.values():
            connection.dec_thread_sharing()

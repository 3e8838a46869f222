"""The live connections of all processes, read from anywhere: the admin, the shell, a view."""

from __future__ import annotations

from typing import Any

import msgspec

from .layers import get_layer


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process that serves connections. `started_at` in Unix seconds; `server` as in its command,
    such as daphne."""

    id: str
    host: str
    pid: int
    server: str
    started_at: float
    version: str


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """A connection as it was some seconds ago at most. Times in Unix seconds."""

    client: str
    user: str
    """The primary key as text; "" where nobody is signed in."""
    username: str
    since: float
    address: str
    app: str
    """The name and version that the client gives itself."""
    protocol: str
    sign_in: str
    expires_at: float | None
    rooms: list[str]
    unsent_bytes: int
    process: str


class LiveProcess(msgspec.Struct, frozen=True):
    """A process that is alive, with its connections."""

    process: Process
    connections: list[Connection]


_decode_process = msgspec.json.Decoder(Process).decode
_decode_connection = msgspec.json.Decoder(Connection).decode


def live_processes() -> list[LiveProcess]:
    """The processes that serve connections, the oldest first. Raises `LayerUnavailable`."""
    found = [
        LiveProcess(_decode_process(info), list(map(_decode_connection, connections)))
        for info, connections in get_layer().live_processes_sync()
    ]
    return sorted(found, key=lambda it: it.process.started_at)


def connections(*, user: Any = None, room: str | None = None) -> list[Connection]:
    """The live connections of all processes, the newest first: of `user` (a user or a primary key),
    in `room`, or all. Raises `LayerUnavailable`."""
    wanted = None if user is None else str(getattr(user, "pk", user))
    found = [
        it
        for alive in live_processes()
        for it in alive.connections
        if (wanted is None or it.user == wanted) and (room is None or room in it.rooms)
    ]
    return sorted(found, key=lambda it: it.since, reverse=True)

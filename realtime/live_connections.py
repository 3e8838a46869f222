"""The live connections of all processes, read from anywhere: the admin, the shell, a view."""

from __future__ import annotations

from typing import Any

import msgspec

from .layers import get_layer
from .layers.records import Connection, LiveProcess, Process

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

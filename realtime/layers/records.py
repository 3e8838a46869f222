"""What a layer keeps of rooms, people, processes and their connections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from ..rooms.publications import Position, Publication

Change = tuple[str | None, str | None]
"""Whose rights changed: a user's, in a room, or with None everybody's, everywhere."""


def changes_that_concern(user: str, room: str) -> list[Change]:
    return [(user, room), (user, None), (None, room), (None, None)]


class Page(NamedTuple):
    """Kept publications of a room, and where the room stood when they were read."""

    position: Position
    publications: list[Publication]


class Member(NamedTuple):
    """A connection of a signed-in user to a room. `info` is shown to others."""

    client: str
    user: str
    info: bytes


class Attendance(NamedTuple):
    """Who is in a room: connections, people, and the `info` of each connection."""

    clients: int
    users: int
    infos: list[bytes]


@dataclass(slots=True)
class PresenceChange:
    """What one process has to say of a room: who is (still) there, and whose connection ended."""

    room: str
    present: list[Member] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)


class PresenceNews(NamedTuple):
    """People who have come to a room, and people who have left it: their `info`."""

    room: str
    joined: list[bytes]
    left: list[bytes]


class StoredProcess(NamedTuple):
    """A process that is alive: what it says of itself and of each of its connections."""

    info: bytes
    connections: list[bytes]


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

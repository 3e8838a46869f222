"""The records that a layer stores and returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from ..rooms.publications import Position, Publication

Change = tuple[str | None, str | None]
"""A change of rights: the user and the room. None stands for all users, or all rooms."""


def changes_that_concern(user: str, room: str) -> list[Change]:
    return [(user, room), (user, None), (None, room), (None, None)]


class Page(NamedTuple):
    """Kept publications of a room, and its position when they were read."""

    position: Position
    publications: list[Publication]


class Member(NamedTuple):
    """A connection of a signed-in user to a room. `info` is shown to others."""

    client: str
    user: str
    info: bytes


class Attendance(NamedTuple):
    """Who is in a room: numbers of connections and users, and the `info` of each connection."""

    clients: int
    users: int
    infos: list[bytes]


@dataclass(slots=True)
class PresenceChange:
    """A report of one process on a room: members that are present, and clients that ended."""

    room: str
    present: list[Member] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)


class PresenceNews(NamedTuple):
    """The `info` of users who have joined a room, and of users who have left it."""

    room: str
    joined: list[bytes]
    left: list[bytes]


class StoredProcess(NamedTuple):
    """A live process as it is stored: a `Process` and its `Connection`s, as JSON."""

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
    """A connection as it was a few seconds ago. Times in Unix seconds."""

    client: str
    user: str
    """The primary key as text; "" for an anonymous user."""
    username: str
    since: float
    address: str
    app: str
    """The name and version that the client reports."""
    protocol: str
    sign_in: str
    expires_at: float | None
    rooms: list[str]
    unsent_bytes: int
    process: str
    label: str = ""
    """The name that administrators see, from `USER_LABEL`; "" in records of an older release."""

    @property
    def name(self) -> str:
        """The label, or else the username; "" for an anonymous user."""
        return self.label or self.username


class LiveProcess(msgspec.Struct, frozen=True):
    """A live process with its connections."""

    process: Process
    connections: list[Connection]

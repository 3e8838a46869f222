"""The live connections that the admin lists: read once per page, filtered and grouped by user."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.translation import gettext as _

from ..exceptions import LayerUnavailable
from ..layers import get_layer
from ..layers.memory import MemoryRoomLayer
from ..layers.records import Connection, Process
from ..models import Connection as ConnectionRow
from ..server_api.connections import live_processes

GONE_SECONDS = 1.0
LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Filter:
    """Which connections are meant; an empty field means all of them."""

    words: tuple[str, ...] = ()
    """Each is contained in something of the connection, in upper or lower case."""
    user: str = ""
    room: str = ""
    process: str = ""

    @classmethod
    def of(cls, params: Mapping[str, str], query: str = "") -> Filter:
        words = tuple(query.casefold().split())
        return cls(words, *(params.get(key, "") for key in ("user", "room", "process")))

    def matches(self, connection: Connection) -> bool:
        if self.user and connection.user != self.user:
            return False
        if self.room and self.room not in connection.rooms:
            return False
        if self.process and connection.process != self.process:
            return False
        texts = (
            *(connection.label, connection.username, connection.user, connection.address),
            *(connection.client, connection.app, connection.protocol),
            *connection.rooms,
        )
        return all(any(word in text.casefold() for text in texts) for word in self.words)


class Listing:
    """All connections, the newest first, and the processes that have them."""

    def __init__(self) -> None:
        self.processes: dict[str, Process] = {}
        self.connections: list[Connection] = []
        self.counts: dict[str, int] = {}
        """How many connections each process has."""
        self.problem = ""
        """Why nobody can say who is connected."""
        self.is_local = False
        """Return whether only this process can be asked."""
        self.read_at = time.time()
        try:
            self._read()
        except LayerUnavailable:
            self.problem = _(
                "Redis does not answer, so nobody can say who is connected. "
                "Connections that are open go on. Try again in a moment."
            )
        except ImproperlyConfigured as error:
            self.problem = str(error)

    def _read(self) -> None:
        self.is_local = isinstance(get_layer(), MemoryRoomLayer)
        for alive in live_processes():
            self.processes[alive.process.id] = alive.process
            self.counts[alive.process.id] = len(alive.connections)
            self.connections += alive.connections
        self.connections.sort(key=lambda each: each.since, reverse=True)

    @classmethod
    def of(cls, request: HttpRequest) -> Listing:
        """What all parts of one page show: it is read once."""
        known: Listing | None = getattr(request, "_realtime_listing", None)
        if known is None:
            known = cls()
            request._realtime_listing = known  # type: ignore[attr-defined]
        return known

    def matching(self, wanted: Filter) -> list[Connection]:
        return [connection for connection in self.connections if wanted.matches(connection)]

    def process_of(self, connection: Connection) -> Process | None:
        return self.processes.get(connection.process)


@dataclass(slots=True)
class Person:
    """A user with connections, or one connection of somebody who is not signed in."""

    user_id: str
    name: str
    username: str = ""
    connections: list[Connection] = field(default_factory=list)
    user: Any = None
    """The user as the database has it; None if it was not read or does not exist."""

    def __str__(self) -> str:
        return self.name or _("somebody at %s") % self.connections[0].address

    @property
    def is_superuser(self) -> bool:
        """Known once the user has been read."""
        return bool(getattr(self.user, "is_superuser", False))

    @property
    def since(self) -> float:
        return min(connection.since for connection in self.connections)

    @property
    def rooms(self) -> set[str]:
        return {name for connection in self.connections for name in connection.rooms}

    @property
    def clients(self) -> list[str]:
        return [connection.client for connection in self.connections]

    @property
    def logged_as(self) -> Any:
        """What the entry of the admin's log is about."""
        if self.user is not None:
            return self.user
        if self.user_id:
            return get_user_model()(pk=self.user_id, **{_username_field(): self.username})
        row = ConnectionRow(client=self.clients[0])
        row.description = str(self)
        return row


def people(connections: Iterable[Connection]) -> list[Person]:
    """The people of these connections, by name; those without a name come last."""
    found: dict[str, Person] = {}
    for connection in connections:
        key = connection.user or f"client {connection.client}"
        person = found.setdefault(
            key, Person(connection.user, connection.name, connection.username)
        )
        person.connections.append(connection)
    return sorted(found.values(), key=lambda one: (not one.name, one.name.casefold()))


def with_users(persons: list[Person]) -> list[Person]:
    """Read their users from the database: one query."""
    keys = [person.user_id for person in persons if person.user_id]
    found = get_user_model()._default_manager.in_bulk(keys) if keys else {}
    users = {str(key): user for key, user in found.items()}
    for person in persons:
        person.user = users.get(person.user_id)
    return persons


def wait_until_gone(clients: Collection[str]) -> set[str]:
    """Those that are still listed after a second. Raises `LayerUnavailable`."""
    left, ends = set(clients), time.monotonic() + GONE_SECONDS
    while left and time.monotonic() < ends:
        time.sleep(LOOK_SECONDS)
        left &= {
            connection.client for alive in live_processes() for connection in alive.connections
        }
    return left


def _username_field() -> str:
    return str(get_user_model().USERNAME_FIELD)

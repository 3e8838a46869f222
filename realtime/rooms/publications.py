"""Publications: the numbered messages of a room, what they hold, and how long they are kept."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import msgspec


class ClientInfo(msgspec.Struct, omit_defaults=True):
    """Who sent a publication: the user's id as a string, the connection, and what may be shown."""

    user: str
    client: str = ""
    conn_info: Any = msgspec.UNSET


class Content(msgspec.Struct, omit_defaults=True):
    """What a publication holds. `data` is JSON as the publisher sent it."""

    data: msgspec.Raw
    info: ClientInfo | msgspec.UnsetType = msgspec.UNSET


class Publication:
    """One message of a room, numbered from 1. `body` is a `Content` as JSON, `at_ms` the Unix time
    when it was published, 0 where that is not known."""

    __slots__ = ("at_ms", "body", "offset")

    def __init__(self, offset: int, body: bytes, at_ms: int = 0) -> None:
        self.offset = offset
        self.body = body
        self.at_ms = at_ms

    def content(self) -> Content:
        return _decode_content(self.body)


def publication_body(data: bytes, info: bytes | None) -> bytes:
    """The body of a publication of `data`, one JSON value, with a `ClientInfo` as JSON."""
    if info is None:
        return b'{"data":%b}' % data
    return b'{"data":%b,"info":%b}' % (data, info)


_decode_content = msgspec.json.Decoder(Content).decode


class Position(msgspec.Struct, frozen=True, gc=False):
    """Where a room's stream stands. Offsets are comparable within one epoch only."""

    epoch: str
    offset: int


class Retention(NamedTuple):
    """How many publications of a room are kept, and for how long after the last one."""

    size: int
    ttl_seconds: int

    @property
    def keeps(self) -> bool:
        return self.size > 0 and self.ttl_seconds > 0


NOTHING_KEPT = Retention(0, 0)


class Kept(Protocol):
    """A room, as far as it says what is kept of it."""

    @property
    def history_size(self) -> int: ...
    @property
    def history_ttl_seconds(self) -> int: ...


_retention = lru_cache(Retention)  # asked for with every message


def retention(room: Kept) -> Retention:
    """How many of the room's publications are kept, and for how long."""
    return _retention(room.history_size, room.history_ttl_seconds)

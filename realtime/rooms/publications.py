"""Publications: the numbered messages of a room, their content, and how long they are kept."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import msgspec

from .exclusions import NOBODY, START, divide, is_excluded


class ClientInfo(msgspec.Struct, omit_defaults=True):
    """The sender of a publication: user id as a string, connection, and public profile."""

    user: str
    client: str = ""
    conn_info: Any = msgspec.UNSET


class Content(msgspec.Struct, omit_defaults=True):
    """The content of a publication. `data` is JSON exactly as the publisher sent it."""

    data: msgspec.Raw
    info: ClientInfo | msgspec.UnsetType = msgspec.UNSET


class Publication:
    """One message of a room, numbered from 1. `body` is a `Content` as JSON. `at_ms` is the Unix
    time of publishing in ms, 0 if unknown."""

    __slots__ = ("at_ms", "body", "exclude", "offset")

    def __init__(self, offset: int, body: bytes, at_ms: int = 0) -> None:
        self.offset = offset
        if body.startswith(START):
            self.body, self.exclude = divide(body)
        else:
            self.body, self.exclude = body, NOBODY
        self.at_ms = at_ms

    def is_for(self, client: str, user_id: str) -> bool:
        """Return whether a connection of the user gets it."""
        return not self.exclude or not is_excluded(self.exclude, client, user_id)

    def content(self) -> Content:
        return _decode_content(self.body)


def publication_body(data: bytes, info: bytes | None) -> bytes:
    """Return the body of a publication. `data` and `info`, a `ClientInfo`, are JSON."""
    if info is None:
        return b'{"data":%b}' % data
    return b'{"data":%b,"info":%b}' % (data, info)


def html_body(data: bytes) -> bytes:
    """Return the body of a publication whose HTML pages show.

    Its tag stands beside the data. No client can publish it, and neither can a site that passes on
    what a client has sent.
    """
    return b'{"data":%b,"tags":{"realtime":"html"}}' % data


_decode_content = msgspec.json.Decoder(Content).decode


class Position(msgspec.Struct, frozen=True, gc=False):
    """The last offset of a room's stream. Offsets can be compared within one epoch only."""

    epoch: str
    offset: int


class Retention(NamedTuple):
    """How many publications of a room are kept, and for how long after the last publication."""

    size: int
    ttl_seconds: int

    @property
    def keeps(self) -> bool:
        return self.size > 0 and self.ttl_seconds > 0


NOTHING_KEPT = Retention(0, 0)


class HasHistory(Protocol):
    """A room of the database or of a room type, with its history settings."""

    @property
    def history_size(self) -> int: ...
    @property
    def history_ttl_seconds(self) -> int: ...


_retention = lru_cache(Retention)  # cached, because every message needs it


def retention(room: HasHistory) -> Retention:
    """Return the retention of a room."""
    return _retention(room.history_size, room.history_ttl_seconds)

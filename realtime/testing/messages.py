"""What a client of a test gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..rooms.publications import Content

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a room. `user` is the primary key, as text, of the member who published it; ""
    if the site did."""

    room: str
    data: Any
    user: str = ""
    offset: int = field(default=0, compare=False)

    @classmethod
    def of(cls, room: str, offset: int, content: Content) -> Message:
        info = content.info
        user = "" if info is msgspec.UNSET else info.user
        return cls(room, _decode(content.data), user, offset)


class Refused(Exception):
    """A command was answered with an error: see docs/codes.md for its `code`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class Closed(Exception):
    """The server has closed the connection: see docs/codes.md for the `code`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason

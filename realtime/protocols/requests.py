"""What clients ask: commands, the body of each, and the errors that they are answered with."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ..codes import CloseCode, Error
from ..rooms.publications import Position


class Command(msgspec.Struct, frozen=True):
    """One thing that a client asks. `id` 0 means that no reply is expected."""

    id: int
    name: str
    body: Any = None


class CommandError(Exception):
    """A command that is answered with `error`."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


class CloseSession(Exception):
    """Raised by a command to end its connection."""

    def __init__(self, code: CloseCode, reason: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason or code.reason


class MalformedCommand(CommandError):
    """A command that can be answered, but not understood."""

    def __init__(self, id: int, message: str = Error.BAD_REQUEST.message) -> None:
        super().__init__(Error(Error.BAD_REQUEST.code, message))
        self.id = id


NULL = msgspec.Raw(b"null")


REJECT_UNRECOVERED = 2  # a bit of `flag`; its first bit offers what we don't have


# Whole numbers that JavaScript can hold.
WholeNumber = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class SubscribeOptions(msgspec.Struct):
    """How a client wants to be in a room."""

    data: msgspec.Raw = NULL
    recover: bool = False
    epoch: str = ""
    offset: WholeNumber = 0
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    flag: int = 0

    @property
    def since(self) -> Position | None:
        """Where the client says that it stands, if it wants what it has missed."""
        return Position(self.epoch, self.offset) if self.recover else None

    @property
    def rejects_unrecovered(self) -> bool:
        """Whether the client would rather be refused than be told `recovered: false`."""
        return self.recover and bool(self.flag & REJECT_UNRECOVERED)


class Subscribe(SubscribeOptions):
    channel: str = ""


class Connect(msgspec.Struct):
    token: str = ""
    data: msgspec.Raw = NULL
    name: str = ""
    version: str = ""
    subs: dict[str, SubscribeOptions] = {}


class Refresh(msgspec.Struct):
    token: str = ""


class Channel(msgspec.Struct):
    """The body of the commands that name a room and nothing else that we honour."""

    channel: str = ""


class Since(msgspec.Struct):
    offset: WholeNumber = 0
    epoch: str = ""


class History(msgspec.Struct):
    """`limit` 0 asks for the position alone, -1 for as many as one reply may hold."""

    channel: str = ""
    limit: int = 0
    since: Since | None = None
    reverse: bool = False


class Publish(msgspec.Struct):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


class Rpc(msgspec.Struct):
    method: str = ""
    data: msgspec.Raw = NULL


class Send(msgspec.Struct):
    data: msgspec.Raw = NULL


class Ping(msgspec.Struct):
    pass

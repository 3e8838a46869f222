"""The commands of clients, their bodies, and the errors that answer them."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any, Literal

import msgspec

from ..codes import CloseCode, Error
from ..rooms.publications import Position


class Command(msgspec.Struct, frozen=True):
    """One command of a client. `id` 0 means that no reply is expected."""

    id: int
    name: str
    body: Any = None


class CommandError(Exception):
    """Raised by a command to answer with `error`."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


class CloseSession(Exception):
    """Raised by a command to end its connection."""

    def __init__(self, code: CloseCode, reason: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason or code.reason


class RefusedCommand(CommandError):
    """A command that is answered with an error instead of being carried out."""

    def __init__(self, id: int, error: Error) -> None:
        super().__init__(error)
        self.id = id


class MalformedCommand(RefusedCommand):
    """A command with an id but an invalid body, answered with "bad request"."""

    def __init__(self, id: int, message: str = Error.BAD_REQUEST.message) -> None:
        super().__init__(id, Error(Error.BAD_REQUEST.code, message))


NULL = msgspec.Raw(b"null")


REJECT_UNRECOVERED = 2  # a bit of `flag`; we don't support the feature of its first bit


# The numbers of the protocol's schema.
UInt32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
UInt64 = Annotated[int, msgspec.Meta(ge=0)]  # with `_checked`: msgspec compares no larger numbers
UINT64_MAX = 2**64 - 1
OFFSET_MAX = 2**53 - 1
"""No room ever has so many publications, and JavaScript represents no larger number exactly."""


def _known(offset: int) -> int:
    """An offset that layers can compute with: of those that no room has, one is like another."""
    return min(offset, OFFSET_MAX)


def _checked(offset: int) -> None:
    if offset > UINT64_MAX:
        raise ValueError(f"Expected `int` <= {UINT64_MAX} - at `offset`")


class SubscribeOptions(msgspec.Struct):
    """The options of a subscription. `tf` (a filter by tags) and `type` (a subscription that is not
    to a stream) are known to be refused: without them the client would get something else."""

    data: msgspec.Raw = NULL
    recover: bool = False
    epoch: str = ""
    offset: UInt64 = 0
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    flag: Int64 = 0
    tf: Any = None
    type: Int32 = 0

    def __post_init__(self) -> None:
        _checked(self.offset)

    @property
    def since(self) -> Position | None:
        """The last position of the client, if it asks for the publications after it."""
        return Position(self.epoch, _known(self.offset)) if self.recover else None

    @property
    def rejects_unrecovered(self) -> bool:
        """Whether to refuse the subscription instead of replying `recovered: false`."""
        return self.recover and bool(self.flag & REJECT_UNRECOVERED)


class Subscribe(SubscribeOptions):
    channel: str = ""
    token: str | None = ""


class Connect(msgspec.Struct):
    """`subs` is not read before the client is authenticated. "" and null are no token: then the
    credential is that of the handshake."""

    token: str | None = ""
    data: msgspec.Raw = NULL
    name: str = ""
    version: str = ""
    subs: msgspec.Raw = msgspec.Raw(b"{}")

    def first_rooms(self, most: int) -> dict[str, SubscribeOptions]:
        """The first of the rooms in `subs`, with their options. Raises `CommandError`."""
        try:
            rooms = islice(_decode_rooms(self.subs).items(), most)
            return {name: _decode_options(options) for name, options in rooms}
        except (msgspec.DecodeError, UnicodeError) as error:
            message = f"bad request: {error} - in `subs`"
            raise CommandError(Error(Error.BAD_REQUEST.code, message)) from error


_decode_rooms = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_options = msgspec.json.Decoder(SubscribeOptions).decode


class Refresh(msgspec.Struct):
    token: str | None = ""


class SubRefresh(msgspec.Struct):
    """A newer token for a subscription."""

    channel: str = ""
    token: str | None = ""


class Channel(msgspec.Struct):
    """The body of commands of which we use only the room."""

    channel: str = ""


class Since(msgspec.Struct):
    offset: UInt64 = 0
    epoch: str = ""

    def __post_init__(self) -> None:
        _checked(self.offset)
        self.offset = _known(self.offset)


class History(msgspec.Struct):
    """`limit` 0 asks only for the position, -1 for as many publications as a reply may hold."""

    channel: str = ""
    limit: Int32 = 0
    since: Since | None = None
    reverse: bool = False


class Publish(msgspec.Struct):
    """A `type` or `key` is of a map, which we don't have."""

    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    type: Literal[0] = 0
    key: Literal[""] = ""


class Rpc(msgspec.Struct):
    method: str = ""
    data: msgspec.Raw = NULL


class Send(msgspec.Struct):
    data: msgspec.Raw = NULL


class Ping(msgspec.Struct):
    pass

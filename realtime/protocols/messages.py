"""What every protocol speaks of: commands from clients, publications to them."""

from typing import Any, Protocol

import msgspec

from ..codes import CloseCode, Error, UnsubscribeCode

Reply = dict[str, Any]
"""The body of the answer to a command."""


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


class Command(msgspec.Struct, frozen=True):
    """One thing that a client asks. `id` 0 means that no reply is expected."""

    id: int
    name: str
    body: Any = None


class ProtocolError(Exception):
    """A frame that cannot be answered, because it names no command: the connection ends."""


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


class WireProtocol(Protocol):
    """How one connection's text is read and written. Encoders return "" to say nothing."""

    @property
    def name(self) -> str: ...
    @property
    def separator(self) -> str | None:
        """What joins several messages to one frame; None where a frame holds one message."""
        ...

    @property
    def has_pings(self) -> bool: ...
    @property
    def has_one_room(self) -> bool:
        """Whether a connection is of no use without its room."""
        ...

    def decode(self, text: str) -> list[Command | MalformedCommand]: ...
    def encode_reply(self, command: Command, result: Reply) -> list[str]: ...
    def encode_error(self, id: int, error: Error) -> str: ...
    def encode_publication(self, room: str, publication: Publication) -> str: ...
    def encode_presence(self, room: str, event: str, info: ClientInfo) -> str:
        """Tell that a person has come ("join") or gone ("leave")."""
        ...

    def encode_rights(self) -> str:
        """Tell that what the user may do has perhaps changed. Which room it was is not said: the
        user may not even know of it."""
        ...

    def encode_notice(self, text: str) -> str:
        """Show people a text of an administrator."""
        ...

    def encode_unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> str: ...
    def encode_disconnect(self, code: CloseCode, reason: str) -> str: ...

"""The interface of a wire protocol."""

from collections.abc import Sequence
from typing import Any, Protocol

from ..codes import CloseCode, Error, UnsubscribeCode
from ..rooms.publications import ClientInfo, Publication
from .requests import Command, MalformedCommand

Reply = dict[str, Any]
"""The body of the reply to a command."""


class ProtocolError(Exception):
    """A frame without a command id can't be answered with an error: the connection ends."""


class WireProtocol(Protocol):
    """Decodes and encodes the text of one connection. Encoders return "" to send nothing,
    except `encode_publication`."""

    @property
    def name(self) -> str: ...
    @property
    def separator(self) -> str | None:
        """The separator of messages in one frame; None if a frame holds only one message."""
        ...

    @property
    def ping(self) -> str:
        """The frame that a client has to answer; "" in a protocol without pings."""
        ...

    @property
    def has_pings(self) -> bool: ...
    @property
    def has_one_room(self) -> bool:
        """Whether a connection serves exactly one room, and ends when it leaves that room."""
        ...

    def split(self, text: str, most: int) -> Sequence[str]:
        """Divide a frame that has a separator into its commands, without reading them.

        Raises `ProtocolError` if there is none, or more than `most`."""
        ...

    def decode(self, text: str) -> Command | MalformedCommand:
        """Read one command. Raises `ProtocolError` if it can't be answered."""
        ...

    def id_in(self, text: str) -> int:
        """Return the id of a command that is refused without being read; 0 if it is not found."""
        ...

    def encode_reply(self, command: Command, result: Reply) -> list[str]: ...
    def encode_error(self, id: int, error: Error) -> str: ...
    def encode_publication(self, room: str, publication: Publication) -> str: ...
    def encode_presence(self, room: str, event: str, info: ClientInfo) -> str:
        """Report that a user has come ("join") or gone ("leave")."""
        ...

    def encode_rights(self) -> str:
        """Report that the user's rights may have changed, without the room: the user may not be
        allowed to know that it exists."""
        ...

    def encode_notice(self, text: str) -> str:
        """Send a notice of an administrator, to be shown to the user."""
        ...

    def encode_subscribe(self, room: str, reply: Reply) -> str:
        """Report that the connection is in a room now. `reply` is that of a subscribe, without the
        publications that it recovers: they follow."""
        ...

    def encode_unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> str: ...
    def encode_disconnect(self, code: CloseCode, reason: str) -> str:
        """The last message before the close frame, which has the same code and reason."""
        ...

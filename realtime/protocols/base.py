"""The interface of a wire protocol."""

from collections.abc import Sequence
from typing import Any, Protocol

from ..codes import CloseCode, Error, UnsubscribeCode
from ..rooms.publications import ClientInfo, Publication
from .frames import Frame, Message
from .requests import Command, RefusedCommand

Reply = dict[str, Any]
"""The body of the reply to a command."""


class ProtocolError(Exception):
    """A frame without a command id can't be answered with an error: the connection ends."""


class WireProtocol(Protocol):
    """Decodes and encodes the messages of one connection. Encoders return "" or b"" to send
    nothing, except `encode_publication`."""

    @property
    def name(self) -> str: ...
    @property
    def message_types(self) -> tuple[type, ...]:
        """What a client may send: `str`, `bytes`, or both."""
        ...

    @property
    def separator(self) -> Message | None:
        """What divides the parts of one message; None if a message holds only one."""
        ...

    @property
    def ping(self) -> Message:
        """What a client has to answer; "" in a protocol without pings."""
        ...

    @property
    def pong(self) -> Message:
        """The answer to a ping."""
        ...

    @property
    def has_pings(self) -> bool: ...
    @property
    def has_one_room(self) -> bool:
        """Whether a connection serves exactly one room, and ends when it leaves that room."""
        ...

    def split(self, message: Any, most: int) -> Sequence[Message]:
        """Divide a message that has a separator into its commands, without reading them.

        Raises `ProtocolError` if there is none, or more than `most`."""
        ...

    def decode(self, message: Any) -> Command | RefusedCommand:
        """Read one command. Raises `ProtocolError` if it can't be answered."""
        ...

    def id_in(self, message: Any) -> int:
        """Return the id of a command that is refused without being read; 0 if it is not found."""
        ...

    def encode_reply(self, command: Command, result: Reply) -> Sequence[Frame]: ...
    def encode_error(self, id: int, error: Error) -> Frame: ...
    def encode_publication(self, room: str, publication: Publication) -> Frame: ...
    def encode_presence(self, room: str, event: str, info: ClientInfo) -> Frame:
        """Report that a user has come ("join") or gone ("leave")."""
        ...

    def encode_rights(self) -> Frame:
        """Report that the user's rights may have changed, without the room: the user may not be
        allowed to know that it exists."""
        ...

    def encode_notice(self, text: str) -> Frame:
        """Send a notice of an administrator, to be shown to the user."""
        ...

    def encode_subscribe(self, room: str, reply: Reply) -> Frame:
        """Report that the connection is in a room now. `reply` is that of a subscribe, without the
        publications that it recovers: they follow."""
        ...

    def encode_unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> Frame: ...
    def encode_disconnect(self, code: CloseCode, reason: str) -> Frame:
        """The last message before the close frame, which has the same code and reason."""
        ...

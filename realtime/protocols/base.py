"""What every protocol speaks of: commands from clients, publications to them."""

from typing import Any, Protocol

from ..codes import CloseCode, Error, UnsubscribeCode
from ..rooms.publications import ClientInfo, Publication
from .requests import Command, MalformedCommand

Reply = dict[str, Any]
"""The body of the answer to a command."""


class ProtocolError(Exception):
    """A frame that cannot be answered, because it names no command: the connection ends."""


class WireProtocol(Protocol):
    """How one connection's text is read and written. Encoders return "" to say nothing."""

    @property
    def name(self) -> str: ...
    @property
    def separator(self) -> str | None:
        """What joins several messages to one frame; None where a frame holds one message."""
        ...

    @property
    def ping(self) -> str:
        """The frame that a client answers; "" in a protocol without pings."""
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

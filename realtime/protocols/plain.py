"""The plain protocol, for a bare WebSocket: one room a connection, one JSON value a frame."""

from typing import Any, ClassVar

import msgspec

from .centrifuge import Publish
from .codes import CloseCode, Error, UnsubscribeCode
from .messages import Command, MalformedCommand, Publication

_encode = msgspec.json.Encoder().encode


class PlainProtocol:
    """Reads and writes the plain protocol for a connection to `room`."""

    name: ClassVar[str] = "plain"
    separator: ClassVar[str | None] = None
    # A bare client cannot answer pings of ours; the server's own WebSocket pings find dead ones.
    has_pings: ClassVar[bool] = False

    def __init__(self, room: str) -> None:
        self.room = room

    def decode(self, text: str) -> list[Command | MalformedCommand]:
        """Every frame is a payload to publish; that it is JSON is checked where it is published."""
        try:
            payload = msgspec.Raw(text.encode())
        except UnicodeError:
            return [MalformedCommand(0, "bad request: the text is not Unicode")]
        return [Command(0, "publish", Publish(self.room, payload))]

    def encode_reply(self, command: Command, result: dict[str, Any]) -> str:
        if command.name != "subscribe":
            return ""
        position = {"epoch": result["epoch"], "offset": result["offset"]}
        return _text({"type": "joined", "room": self.room, **position})

    def encode_error(self, id: int, error: Error) -> str:
        return _text({"type": "error", "code": error.code, "message": error.message})

    def encode_publication(self, room: str, publication: Publication) -> str:
        message = {"type": "message", "room": room, "offset": publication.offset, "user": None}
        if publication.info is not msgspec.UNSET:
            message["user"] = publication.info.user
            info = publication.info.conn_info
            if isinstance(info, dict) and "name" in info:
                message["name"] = info["name"]
        return _text({**message, "data": publication.data})

    def encode_unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> str:
        return _text({"type": "error", "code": int(code), "message": reason})

    def encode_disconnect(self, code: CloseCode, reason: str) -> str:
        return _text({"type": "error", "code": int(code), "message": reason})


def _text(message: dict[str, Any]) -> str:
    return _encode(message).decode()

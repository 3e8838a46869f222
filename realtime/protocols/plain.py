"""The plain protocol, for a bare WebSocket: one room per connection, one JSON value per frame."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import parse_qs

import msgspec

from ..codes import CloseCode, Error, UnsubscribeCode
from ..rooms.publications import ClientInfo, Publication
from .plain_message import plain_message
from .requests import Command, MalformedCommand, Publish, Subscribe

_encode = msgspec.json.Encoder().encode
_OFFSET = re.compile(r"[0-9]{1,15}\Z", re.ASCII)


class PlainProtocol:
    """Decodes and encodes the plain protocol for a connection to `room`."""

    name: ClassVar[str] = "plain"
    message_types: ClassVar[tuple[type, ...]] = (str,)
    separator: ClassVar[str | None] = None
    # A bare client can't answer our pings. The WebSocket pings of the server find dead clients.
    ping: ClassVar[str] = ""
    pong: ClassVar[str] = ""
    has_pings: ClassVar[bool] = False
    has_one_room: ClassVar[bool] = True

    def __init__(self, room: str) -> None:
        self.room = room

    def split(self, text: str, most: int) -> Sequence[str]:
        return (text,)

    def decode(self, text: str) -> Command | MalformedCommand:
        """Return the frame as a payload to publish. `publish` checks later that it is JSON."""
        try:
            payload = msgspec.Raw(text.encode())
        except UnicodeError:
            return MalformedCommand(0, "bad request: the text is not Unicode")
        return Command(0, "publish", Publish(self.room, payload))

    def id_in(self, text: str) -> int:
        return 0

    def encode_reply(self, command: Command, result: dict[str, Any]) -> list[str]:
        if command.name != "subscribe":
            return []
        position: dict[str, Any] = {
            key: result[key] for key in ("epoch", "offset", "recovered") if key in result
        }
        if "data" in result:
            position["state"] = result["data"]
        joined = _text({"type": "joined", "room": self.room, **position})
        missed = result.get("publications", ())
        return [
            joined,
            *(self.encode_publication(self.room, message) for message in missed),
        ]

    def encode_error(self, id: int, error: Error) -> str:
        return _text({"type": "error", "code": error.code, "message": error.message})

    def encode_publication(self, room: str, publication: Publication) -> str:
        return _text(plain_message(room, publication))

    def encode_presence(self, room: str, event: str, info: ClientInfo) -> str:
        return ""  # a bare client can't ask for presence

    def encode_rights(self) -> str:
        return ""

    def encode_notice(self, text: str) -> str:
        return _text({"type": "notice", "text": text})

    def encode_subscribe(self, room: str, reply: dict[str, Any]) -> str:
        return ""  # it has one room, which it asks for

    def encode_unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> str:
        return _text({"type": "error", "code": int(code), "message": reason})

    def encode_disconnect(self, code: CloseCode, reason: str) -> str:
        return _text({"type": "error", "code": int(code), "message": reason})


@lru_cache(maxsize=1_024)
def plain_protocol(room: str) -> PlainProtocol:
    """The protocol of a room. Its connections share it: a fan-out then looks for no other one."""
    return PlainProtocol(room)


def subscribe(room: str, query_string: str) -> Subscribe:
    """Return the subscription that the URL asks for: `?since=<epoch>:<offset>` recovers.

    Raises `MalformedCommand`.
    """
    since = parse_qs(query_string, keep_blank_values=True).get("since")
    if since is None:
        return Subscribe(channel=room)
    epoch, _, offset = since[-1].rpartition(":")
    if not epoch or not _OFFSET.match(offset):
        raise MalformedCommand(0, "bad request: since is an epoch, a colon and an offset")
    return Subscribe(channel=room, recover=True, epoch=epoch, offset=int(offset))


def _text(message: dict[str, Any]) -> str:
    return _encode(message).decode()

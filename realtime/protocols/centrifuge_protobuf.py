"""The native protocol in Protobuf, which is all that some SDKs speak.

Source: https://centrifugal.dev/docs/transports/client_protocol. A message of the WebSocket is
binary and holds one or more commands or replies, each after its length. An empty one is the ping,
and the pong. Payloads are bytes, and hold JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..codes import CloseCode, Error, UnsubscribeCode
from ..rooms.publications import ClientInfo, Publication
from .base import ProtocolError
from .protobuf.commands import id_in, read_command
from .protobuf.fields import Malformed, read_varint
from .protobuf.replies import write_error, write_publication, write_push, write_reply
from .requests import Command, MalformedCommand

PING = b"\x00"
"""An empty message, after its length."""


class CentrifugeProtobufProtocol:
    """Decodes and encodes the native protocol. It is stateless: one instance serves all."""

    name: ClassVar[str] = "centrifuge-protobuf"
    message_types: ClassVar[tuple[type, ...]] = (bytes,)
    separator: ClassVar[bytes | None] = b""
    ping: ClassVar[bytes] = PING
    pong: ClassVar[bytes] = PING
    has_pings: ClassVar[bool] = True
    has_one_room: ClassVar[bool] = False

    def split(self, message: bytes, most: int) -> Sequence[bytes]:
        """Divide a message into its commands, without their lengths; an empty one is `PING`."""
        commands: list[bytes] = []
        position, size = 0, len(message)
        while position < size:
            if len(commands) == most:
                raise ProtocolError(f"a frame holds at most {most} commands")
            try:
                length, position = read_varint(message, position)
            except Malformed as error:
                raise ProtocolError("the length of a command is cut off or too large") from error
            end = position + length
            if end > size:
                raise ProtocolError("a command is cut off")
            commands.append(message[position:end] if length else PING)
            if length == 1 and commands[-1] == PING:
                raise ProtocolError("a command can't be read")  # it is not an empty one
            position = end
        if not commands:
            raise ProtocolError("a frame holds at least one command")
        return commands

    def decode(self, message: bytes) -> Command | MalformedCommand:
        """Read one command. The client's pong is the command "pong"."""
        return Command(0, "pong") if message == PING else read_command(message)

    def id_in(self, message: bytes) -> int:
        return id_in(message)

    def encode_reply(self, command: Command, result: dict[str, Any]) -> list[bytes]:
        return [write_reply(command.id, command.name, result)] if command.id else []

    def encode_error(self, id: int, error: Error) -> bytes:
        if not id:
            return b""
        body = {"code": error.code, "message": error.message, "temporary": error.temporary}
        return write_error(id, body)

    def encode_publication(self, room: str, publication: Publication) -> bytes:
        return write_publication(room, publication)

    def encode_presence(self, room: str, event: str, info: ClientInfo) -> bytes:
        return write_push(event, {"info": info}, room)

    def encode_rights(self) -> bytes:
        return write_push("message", {"data": {"realtime": "rights"}})

    def encode_notice(self, text: str) -> bytes:
        return write_push("message", {"data": {"realtime": "notice", "text": text}})

    def encode_subscribe(self, room: str, reply: dict[str, Any]) -> bytes:
        return write_push("subscribe", reply, room)

    def encode_unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> bytes:
        return write_push("unsubscribe", {"code": int(code), "reason": reason}, room)

    def encode_disconnect(self, code: CloseCode, reason: str) -> bytes:
        return b""  # the close frame has it all, as in JSON

"""The native protocol: the Centrifuge client protocol, version 2, in JSON.

Source: https://centrifugal.dev/docs/transports/client_protocol. A frame holds one or more JSON
objects separated by newlines. Unknown fields are ignored, as the protocol requires.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import msgspec

from ..codes import CloseCode, Error, UnsubscribeCode
from ..rooms.nesting import PARSER_LEVELS, is_far_deeper
from ..rooms.publications import ClientInfo, Publication
from .base import ProtocolError
from .requests import (
    Channel,
    Command,
    Connect,
    History,
    MalformedCommand,
    Ping,
    Publish,
    Refresh,
    Rpc,
    Send,
    SubRefresh,
    Subscribe,
    UInt32,
)

PING = "{}"


class CommandObject(msgspec.Struct):
    """One JSON object from a client: an id and exactly one command."""

    id: UInt32 = 0
    connect: Connect | None = None
    refresh: Refresh | None = None
    subscribe: Subscribe | None = None
    unsubscribe: Channel | None = None
    publish: Publish | None = None
    rpc: Rpc | None = None
    send: Send | None = None
    ping: Ping | None = None
    history: History | None = None
    presence: Channel | None = None
    presence_stats: Channel | None = None
    sub_refresh: SubRefresh | None = None


class _Identified(msgspec.Struct):
    """An id that can be repeated, also if it is out of range: JavaScript represents it exactly."""

    id: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] = 0


_COMMANDS = tuple(name for name in CommandObject.__struct_fields__ if name != "id")
_decoder = msgspec.json.Decoder(CommandObject)
_id_decoder = msgspec.json.Decoder(_Identified)
_FIRST_ID = re.compile(r'\s*\{\s*"id"\s*:\s*([1-9][0-9]{0,9})\s*,')
_LAST_ID = re.compile(r',\s*"id"\s*:\s*([1-9][0-9]{0,9})\s*\}\s*\Z')
_LAST_ID_MAX = 100
_SEND = re.compile(r'\s*\{\s*"send"\s*:')


class CentrifugeProtocol:
    """Decodes and encodes the native protocol. It is stateless: one instance serves all."""

    name: ClassVar[str] = "centrifuge"
    message_types: ClassVar[tuple[type, ...]] = (str,)
    separator: ClassVar[str | None] = "\n"
    ping: ClassVar[str] = PING
    pong: ClassVar[str] = PING
    has_pings: ClassVar[bool] = True
    has_one_room: ClassVar[bool] = False

    def split(self, text: str, most: int) -> Sequence[str]:
        # Counted before a list is made: a frame of newlines would take forty times its size.
        if text.count("\n") > most:
            raise ProtocolError(f"a frame holds at most {most} commands")
        lines = [line for line in text.split("\n") if line]
        if not lines:
            raise ProtocolError("a frame holds at least one command")
        return lines

    def decode(self, text: str) -> Command | MalformedCommand:
        """Read one command. The client's pong is the command "pong"."""
        return _decode_line(text)

    def id_in(self, text: str) -> int:
        return _id_in(text) or 0

    def encode_reply(self, command: Command, result: dict[str, Any]) -> list[str]:
        if not command.id:
            return []
        if not result:
            return [f'{{"id":{command.id},"{command.name}":{{}}}}']
        return [_text({"id": command.id, command.name: result})]

    def encode_error(self, id: int, error: Error) -> str:
        if not id:
            return ""
        body: dict[str, Any] = {"code": error.code, "message": error.message}
        if error.temporary:
            body["temporary"] = True
        return _text({"id": id, "error": body})

    def encode_publication(self, room: str, publication: Publication) -> str:
        # Room names contain no characters that JSON escapes.
        return f'{{"push":{{"channel":"{room}","pub":{_numbered(publication).decode()}}}}}'

    def encode_presence(self, room: str, event: str, info: ClientInfo) -> str:
        return _push({"channel": room, event: {"info": info}})

    def encode_rights(self) -> str:
        return _push({"message": {"data": {"realtime": "rights"}}})

    def encode_notice(self, text: str) -> str:
        return _push({"message": {"data": {"realtime": "notice", "text": text}}})

    def encode_subscribe(self, room: str, reply: dict[str, Any]) -> str:
        return _push({"channel": room, "subscribe": reply})

    def encode_unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> str:
        return _push({"channel": room, "unsubscribe": {"code": int(code), "reason": reason}})

    def encode_disconnect(self, code: CloseCode, reason: str) -> str:
        # The close frame has it all. The protocol's push is for transports without one: the Python
        # SDK below 0.7 takes a push and a close for a lost network, and comes back for ever.
        return ""


def _decode_line(line: str) -> Command | MalformedCommand:
    if line.count("[") + line.count("{") > PARSER_LEVELS and _is_too_deep(line):
        id = _id_in(line)
        if id is None:
            raise ProtocolError("the frame nests too deep")
        return MalformedCommand(id, "bad request: it nests too deep")
    try:
        message = _decoder.decode(line)
    except msgspec.ValidationError as error:
        return MalformedCommand(_id_of(line), f"bad request: {error}")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        # A payload may hold what JSON does not have (NaN, for one), or what no other client can
        # read, such as half of a surrogate pair. That is refused, and the connection goes on.
        id = _id_in(line)
        if id is None:
            raise ProtocolError("the frame is not JSON") from error
        return MalformedCommand(id, "bad request: it is not JSON that every client can read")
    id, *bodies = msgspec.structs.astuple(message)
    absent = bodies.count(None)
    if absent == len(bodies) and line.strip() == PING:
        return Command(0, "pong")
    if id <= 0 and (message.send is None or absent != len(bodies) - 1):
        raise ProtocolError("a command needs an id above 0")
    if absent != len(bodies) - 1:
        return MalformedCommand(id, "bad request: a command object holds one known command")
    if message.publish is not None:
        return Command(id, "publish", message.publish)
    (index,) = (index for index, body in enumerate(bodies) if body is not None)
    return Command(id, _COMMANDS[index], bodies[index])


def _is_too_deep(line: str) -> bool:
    """Return whether a parser may give up, as the one of Python 3.11 does before that of 3.14."""
    return is_far_deeper(line.encode(errors="replace"), PARSER_LEVELS)


def _id_of(line: str) -> int:
    try:
        id = _id_decoder.decode(line).id
    except msgspec.ValidationError:
        id = 0
    if id <= 0:
        raise ProtocolError("a command is an object with an id above 0")
    return id


def _id_in(line: str) -> int | None:
    """The id of a command that can't be decoded; 0 for a `send`, which has none.

    A command is an object with two keys: the id is the first or the last.
    """
    found = _FIRST_ID.match(line) or _LAST_ID.search(line, max(0, len(line) - _LAST_ID_MAX))
    if found is not None:
        return int(found[1])
    return 0 if _SEND.match(line) else None


def _numbered(publication: Publication) -> bytes:
    """Return the publication for clients: the body, a JSON object, with the offset added."""
    return b'%b,"offset":%d}' % (publication.body[:-1], publication.offset)


def _as_json(publication: Any) -> msgspec.Raw:
    """Encode the publications of a reply, the only objects that msgspec does not know."""
    return msgspec.Raw(_numbered(publication))


_encode = msgspec.json.Encoder(enc_hook=_as_json).encode


def _text(message: dict[str, Any]) -> str:
    return _encode(message).decode()


def _push(push: dict[str, Any]) -> str:
    return _text({"push": push})

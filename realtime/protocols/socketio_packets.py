"""The packets of Socket.IO 5, as text: https://socket.io/docs/v4/socket-io-protocol/

Rooms hold JSON. Bytes stand in it as `{"$binary": "<base64>"}`; to clients of Socket.IO they are
attachments, which are messages of their own.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ..rooms.nesting import PARSER_LEVELS, is_far_deeper
from .base import ProtocolError
from .engineio import MESSAGE
from .frames import Frame

CONNECT = "0"
DISCONNECT = "1"
EVENT = "2"
ACK = "3"
CONNECT_ERROR = "4"
BINARY_EVENT = "5"
BINARY_ACK = "6"
_WITH_BYTES = {EVENT: BINARY_EVENT, ACK: BINARY_ACK}
WITHOUT_BYTES = {BINARY_EVENT: EVENT, BINARY_ACK: ACK}

RESERVED = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
"""Events of the client library itself. Its server does not take them either."""

# The type, the number of attachments, the namespace, the id of the acknowledgement.
_HEADER = re.compile(
    MESSAGE + r"([0-6])(?:([0-9]{1,6})-)?(?:(/[^,]*)(?:,|\Z))?([0-9]{0,15})", re.ASCII
)
_PLACEHOLDER = re.compile(r'\{\s*"_placeholder"\s*:\s*true\s*,\s*"num"\s*:\s*([0-9]{1,6})\s*\}')
_BINARY = re.compile(rb'\{\s*"\$binary"\s*:\s*"([A-Za-z0-9+/]*={0,2})"\s*\}')
_BINARY_KEY = b'"$binary"'
_decode_parts = msgspec.json.Decoder(list[msgspec.Raw]).decode


class NotPortable(ValueError):
    """JSON that not every client can read, such as half of a surrogate pair."""


class Packet(NamedTuple):
    """`id` is one more than that of the wire; 0 if no acknowledgement is wanted."""

    kind: str
    attachments: int
    namespace: str
    id: int
    json: str


def read_packet(message: str) -> Packet:
    """Read a text. Raises `ProtocolError`."""
    found = _HEADER.match(message)
    if found is None:
        raise ProtocolError("unknown type of packet")
    kind, attachments, namespace, id = found.groups()
    if (attachments is None) is (kind in WITHOUT_BYTES):
        raise ProtocolError("wrong number of attachments")
    body = message[found.end() :]
    return Packet(kind, int(attachments or 0), namespace or "/", int(id) + 1 if id else 0, body)


def read_parts(text: str) -> list[bytes]:
    """Read the list of an event: its name and its arguments. Raises `ProtocolError`, and
    `NotPortable`."""
    if text.count("[") + text.count("{") > PARSER_LEVELS and is_far_deeper(
        text.encode(errors="replace"), PARSER_LEVELS
    ):
        raise NotPortable("it nests too deep")
    try:
        return [bytes(part) for part in _decode_parts(text)]
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        if _is_list(text):
            raise NotPortable("it is not JSON that every client can read") from error
        raise ProtocolError("the packet is not a list as JSON") from error


def _is_list(text: str) -> bool:
    """Return whether a parser that takes more, as those of browsers do, reads a list."""
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False


def with_attachments(text: str, attachments: Sequence[bytes]) -> str:
    """Put attachments in the places that are kept for them. Raises `ProtocolError`."""

    def put(found: re.Match[str]) -> str:
        number = int(found[1])
        if number >= len(attachments):
            raise ProtocolError("a packet refers to an attachment that it does not have")
        encoded = binascii.b2a_base64(attachments[number], newline=False).decode()
        return f'{{"$binary":"{encoded}"}}'

    # A string of JSON can't contain it: there, the quotation marks are escaped.
    return _PLACEHOLDER.sub(put, text)


def write_packet(kind: str, address: str, body: bytes) -> Frame:
    """An event or acknowledgement, and its attachments. `address` is the namespace and the id, as
    they are written."""
    if _BINARY_KEY in body:
        body, attachments = _divide(body)
        if attachments:
            head = f"{MESSAGE}{_WITH_BYTES[kind]}{len(attachments)}-{address}"
            return (head + body.decode(), *attachments)
    return f"{MESSAGE}{kind}{address}{body.decode()}"


def _divide(body: bytes) -> tuple[bytes, list[bytes]]:
    """Take the bytes out of JSON."""
    plain = body
    if b"\\u" in plain:
        plain = msgspec.json.encode(msgspec.json.decode(plain))
    if b"_placeholder" in plain:
        return body, []  # the client would take it for one of ours
    attachments: list[bytes] = []

    def take(found: re.Match[bytes]) -> bytes:
        try:
            attachments.append(binascii.a2b_base64(found[1], strict_mode=True))
        except ValueError:
            return found[0]
        return b'{"_placeholder":true,"num":%d}' % (len(attachments) - 1)

    divided = _BINARY.sub(take, plain)
    return divided, attachments

"""Engine.IO 4, which carries the packets of Socket.IO: over HTTP, over WebSocket, and from one to
the other.

https://socket.io/docs/v4/engine-io-protocol/

A packet is a text whose first character is its type, or bytes, which are always a message. Over
WebSocket each is a message of its own. Over HTTP several packets make a payload, in which bytes are
written in base64.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Any

import msgspec

from ..conf import realtime_settings
from .frames import Message

VERSION = "4"

OPEN = "0"
CLOSE = "1"
PING = "2"
PONG = "3"
MESSAGE = "4"
UPGRADE = "5"
NOOP = "6"
PROBE = f"{PING}probe"
"""A client asks over its new WebSocket whether it works."""
PROBE_ANSWER = f"{PONG}probe"

SEPARATOR = "\x1e"
_BASE64 = "b"
_TYPES = frozenset("0123456")


class Refused(Enum):
    """The reasons to refuse a request, with the numbers and texts of Engine.IO's own server."""

    UNKNOWN_TRANSPORT = (0, "Transport unknown")
    UNKNOWN_SID = (1, "Session ID unknown")
    BAD_METHOD = (2, "Bad handshake method")
    BAD_REQUEST = (3, "Bad request")
    FORBIDDEN = (4, "Forbidden")
    UNSUPPORTED_VERSION = (5, "Unsupported protocol version")

    @property
    def body(self) -> str:
        code, message = self.value
        return msgspec.json.encode({"code": code, "message": message}).decode()


class PayloadError(ValueError):
    """A payload holds something that is no packet."""


def open_packet(sid: str, upgrades: Sequence[str] = ()) -> str:
    """The first packet of a session. `upgrades` are the transports that it may go on with."""
    about: dict[str, Any] = {
        "sid": sid,
        "upgrades": upgrades,
        "pingInterval": int(realtime_settings.PING_SECONDS * 1000),
        "pingTimeout": int(realtime_settings.PONG_SECONDS * 1000),
        "maxPayload": realtime_settings.FRAME_MAX_BYTES,
    }
    return OPEN + msgspec.json.encode(about).decode()


def encode_payload(packets: Iterable[Message]) -> str:
    return SEPARATOR.join(map(_as_text, packets))


def decode_payload(payload: str) -> Iterator[Message]:
    """Read the packets one after the other: those that are not asked for are not read.

    Raises `PayloadError`, also after some packets that can be read.
    """
    begin = 0
    while begin <= len(payload):
        end = payload.find(SEPARATOR, begin)
        if end < 0:
            end = len(payload)
        yield _packet(payload[begin:end])
        begin = end + 1


def _as_text(packet: Message) -> str:
    if isinstance(packet, str):
        return packet
    return _BASE64 + binascii.b2a_base64(packet, newline=False).decode()


def _packet(text: str) -> Message:
    if text[:1] in _TYPES:
        return text
    if text[:1] != _BASE64:
        raise PayloadError("unknown type of packet")
    try:
        return binascii.a2b_base64(text[1:], strict_mode=True)
    except ValueError as error:
        raise PayloadError("not base64") from error

"""Server-sent events: encodes what a connection gets as an event stream, with ids to resume by.

Messages for many connections are encoded once. The ids differ, because the id of an event says
where a client is in all rooms of its stream: `StreamPosition.stamp` writes them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qsl
from zlib import crc32

import msgspec

from ..codes import CloseCode, Error, UnsubscribeCode
from ..rooms.publications import ClientInfo, Position, Publication
from .base import ProtocolError
from .plain_message import plain_message
from .requests import Command, MalformedCommand

HEARTBEAT = ":\n\n"
"""A comment: the client ignores it, and a dead connection is noticed by it."""
RETRY_MS = (1_000, 3_000)
RETRY_LATER_MS = (1_000, 5_000)
"""How long a client waits before it reconnects, at random: after a lost connection, and after one
that the server has ended."""
TEMPORARY = range(3000, 3500)
"""The close codes after which a client comes back."""

_encode = msgspec.json.Encoder().encode
_LINE_END = re.compile(r"\r\n|\r|\n")
_KNOWN = re.compile(r"([A-Za-z0-9]{1,64}):([0-9]{1,15})\Z", re.ASCII)
_UNKNOWN = "-"
_LOST = Position("-", 0)
"""Of no room: a client that was somewhere gets `recovered: false`."""


class EventStreamProtocol:
    """Encodes the events of one-way connections. A client sends nothing.

    An event that moves the client in a room begins with a comment that says so, which
    `StreamPosition` replaces by the id.
    """

    name: ClassVar[str] = "sse"
    message_types: ClassVar[tuple[type, ...]] = ()
    separator: ClassVar[str | None] = ""
    # A client can't answer. Comments find dead connections.
    ping: ClassVar[str] = ""
    pong: ClassVar[str] = ""
    has_pings: ClassVar[bool] = False
    has_one_room: ClassVar[bool] = False

    def split(self, message: Any, most: int) -> Sequence[str]:
        raise ProtocolError("an event stream takes no messages")

    def decode(self, message: Any) -> Command | MalformedCommand:
        raise ProtocolError("an event stream takes no messages")

    def id_in(self, message: Any) -> int:
        return 0

    def encode_reply(self, command: Command, result: dict[str, Any]) -> list[str]:
        """The rooms that a connect has entered, each with the messages that it recovers."""
        events = []
        for room, entered in result.get("subs", {}).items() if command.name == "connect" else ():
            events.append(self.encode_subscribe(room, entered))
            missed = entered.get("publications", ())
            events += [self.encode_publication(room, message) for message in missed]
        return events

    def encode_error(self, id: int, error: Error) -> str:
        return ""  # before the stream begins, it is the status of the response

    def encode_publication(self, room: str, publication: Publication) -> str:
        return _moving(room, "", publication.offset) + _event(plain_message(room, publication))

    def encode_presence(self, room: str, event: str, info: ClientInfo) -> str:
        return ""  # a stream can't ask for presence

    def encode_rights(self) -> str:
        return ""

    def encode_notice(self, text: str) -> str:
        return _event({"type": "notice", "text": text})

    def encode_subscribe(self, room: str, reply: dict[str, Any]) -> str:
        joined: dict[str, Any] = {"type": "joined", "room": room}
        joined |= {key: reply[key] for key in ("epoch", "offset", "recovered") if key in reply}
        if "data" in reply:
            joined["state"] = reply["data"]
        return _moving(room, reply["epoch"], reply["offset"]) + _event(joined)

    def encode_unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> str:
        ended = {"type": "unsubscribed", "room": room, "code": int(code), "message": reason}
        return _moving(room, "", _UNKNOWN) + _event(ended)

    def encode_refusal(self, room: str) -> str:
        """Report a room that the client has asked for and may not enter."""
        error = Error.PERMISSION_DENIED
        return _event(
            {"type": "refused", "room": room, "code": error.code, "message": error.message}
        )

    def encode_disconnect(self, code: CloseCode, reason: str) -> str:
        return encode_end(int(code), reason, is_temporary=code in TEMPORARY)


def encode_end(code: int, reason: str, *, is_temporary: bool) -> str:
    """The last event of a stream. `reconnect` says whether it makes sense to come back."""
    end = {"type": "closed", "code": code, "message": reason, "reconnect": is_temporary}
    return (retry(*RETRY_LATER_MS) if is_temporary else "") + _event(end)


def retry(least: int, most: int) -> str:
    """Let the client wait so many milliseconds before it reconnects."""
    return f"retry: {random.randint(least, most)}\n\n"


class StreamPosition:
    """Where one client is in each of its rooms: the id of the events of its stream.

    An id begins with a checksum of the rooms. Its parts stand in the order in which the URL names
    them: `epoch:offset`, or `-` for a room in which the client is not.
    """

    __slots__ = ("_checksum", "_parts", "_places")

    def __init__(self, rooms: Sequence[str]) -> None:
        # Not every layer has epochs by which the positions of two rooms can be told apart.
        self._checksum = f"{crc32(chr(10).join(rooms).encode(errors='replace')):x}"
        self._places = {room: place for place, room in enumerate(rooms)}
        self._parts = [_UNKNOWN] * len(rooms)

    def move_to(self, id: str) -> dict[str, Position]:
        """Begin where the client is. Return its position in each room in which it was.

        Raises `ValueError` if this is no id of a stream of these rooms.
        """
        checksum, *parts = id.split(",")
        if checksum != self._checksum or len(parts) != len(self._parts):
            raise ValueError("the id is of a stream of other rooms")
        positions = {room: _position(parts[place]) for room, place in self._places.items()}
        self._parts = parts
        return {room: position for room, position in positions.items() if position is not None}

    def lost(self) -> dict[str, Position]:
        """Positions that can't be recovered, for a client that was somewhere."""
        return dict.fromkeys(self._places, _LOST)

    @property
    def id(self) -> str:
        return ",".join((self._checksum, *self._parts))

    def stamp(self, events: str) -> str:
        """Write the ids into events, and move on with each of them."""
        if not events.startswith(":") and "\n\n:" not in events:
            return events
        return "\n\n".join(map(self._stamped, events.split("\n\n")))

    def _stamped(self, event: str) -> str:
        if not event.startswith(":") or event == ":":
            return event
        move, _, rest = event[1:].partition("\n")
        room, epoch, offset = move.split("\t")
        place = self._places.get(room)
        if place is None:
            return rest  # of no room of this stream: nothing to come back to
        if offset == _UNKNOWN:
            self._parts[place] = _UNKNOWN
        else:
            epoch = epoch or self._parts[place].partition(":")[0]
            self._parts[place] = f"{epoch}:{offset}"
        return f"id: {self.id}\n{rest}"


def _position(part: str) -> Position | None:
    if part == _UNKNOWN:
        return None
    known = _KNOWN.match(part)
    if known is None:
        raise ValueError("a position is an epoch, a colon and an offset")
    return Position(known[1], int(known[2]))


def rooms_in(query_string: str) -> list[str]:
    """The rooms that the URL asks for: each `room=`, once. Raises `ValueError`."""
    return list(dict.fromkeys(value for key, value in _pairs(query_string) if key == "room"))


def since_in(query_string: str) -> str:
    """The id that the URL asks to go on from: `since=`. Raises `ValueError`."""
    return next((value for key, value in _pairs(query_string) if key == "since"), "")


def _pairs(query_string: str) -> Iterable[tuple[str, str]]:
    return parse_qsl(query_string, keep_blank_values=True, errors="strict")


def _moving(room: str, epoch: str, offset: int | str) -> str:
    """Marks an event that moves the client in a room. No name of a room has a tab."""
    return f":{room}\t{epoch}\t{offset}\n"


def _event(message: dict[str, Any]) -> str:
    """An event. "message" is the name of those that have none."""
    name = message["type"]
    head = "" if name == "message" else f"event: {name}\n"
    data = _encode(message).decode()
    if "\n" in data or "\r" in data:  # between the values of a payload
        data = _LINE_END.sub("\ndata: ", data)
    return f"{head}data: {data}\n\n"

"""The protocol of Socket.IO 4: packets of Socket.IO 5 in those of Engine.IO 4.

https://socket.io/docs/v4/socket-io-protocol/

A connection may be in several namespaces, each of which has a protocol of its own. What a client
emits is a command, a message for a room that the site has mapped the event to, or a call of one of
the site's handlers. What clients get are events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from ..codes import CloseCode, Error, UnsubscribeCode
from ..rooms.publications import ClientInfo, Publication
from .base import ProtocolError, Reply
from .engineio import MESSAGE, PONG
from .frames import Frame, Message
from .requests import CloseSession, Command, MalformedCommand, RefusedCommand
from .socketio_attachments import Assembly
from .socketio_connect import is_namespace, read_auth
from .socketio_events import encode_event, history_entry, read_event
from .socketio_packets import (
    ACK,
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    WITHOUT_BYTES,
    NotPortable,
    Packet,
    read_packet,
    read_parts,
    write_packet,
)
from .socketio_positions import Joined, Journal

PART = Command(0, "part")
"""A message that is no whole command: nothing is to be done."""
INVALID_NAMESPACE = Error(Error.UNKNOWN_CHANNEL.code, "Invalid namespace")
_IGNORED = "0156"
"""What Engine.IO's server takes over a WebSocket, and does nothing about."""
ENGINE_PACKETS = frozenset(_IGNORED + PONG)
"""Those that are for no namespace."""
_encode = msgspec.json.Encoder(enc_hook=history_entry).encode


class SocketIOProtocol:
    """Decodes and encodes for one namespace of one connection: each knows its name, the rooms that
    it has entered, and a packet that is not whole yet."""

    message_types: ClassVar[tuple[type, ...]] = (str, bytes)
    separator: ClassVar[str | None] = None
    ping: ClassVar[str] = "2"
    pong: ClassVar[str] = PONG
    has_pings: ClassVar[bool] = True
    has_one_room: ClassVar[bool] = False

    __slots__ = (
        "_address",
        "_assembly",
        "_has_left",
        "_has_positions",
        "_journal",
        "_refused",
        "is_connected",
        "joined",
        "name",
        "namespace",
        "pid",
    )

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.name = "socketio"
        """Connections with the same name get the same events."""
        self.namespace = ""
        self.pid = ""
        self.joined: dict[str, Joined] = {}
        self.is_connected = False
        self._address = ""
        """The namespace as packets have it."""
        self._has_left = False
        self._has_positions = True
        self._assembly = Assembly()
        self._refused = ""
        """The namespace of a refused connect."""

    @property
    def is_assembling(self) -> bool:
        """Return whether attachments of a packet are expected."""
        return self._assembly.is_open

    @property
    def journal(self) -> Journal:
        return self._journal

    # What comes

    def split(self, message: Message, most: int) -> Sequence[Message]:
        return (message,)

    def decode(self, message: Message) -> Command | RefusedCommand:
        if isinstance(message, bytes):
            whole = self._assembly.add(message)
            return PART if whole is None else self._event(*whole)
        kind = message[:1]
        if kind == MESSAGE:
            return self._read(message)
        if kind == PONG:
            return Command(0, "pong")
        if kind and kind in _IGNORED:
            return PART
        raise ProtocolError("unknown type of packet")

    def id_in(self, message: Message) -> int:
        """Of a packet that is refused, the attachments are refused with it."""
        if isinstance(message, bytes):
            return self._assembly.refuse()
        try:
            packet = read_packet(message)
        except ProtocolError:
            return 0
        if packet.attachments and not self._assembly.is_open:
            self._assembly.begin(packet, is_refused=True)
        return packet.id if packet.kind in (EVENT, BINARY_EVENT) else 0

    def _read(self, message: str) -> Command | RefusedCommand:
        if self._assembly.is_open:
            raise ProtocolError("a packet before the attachments of the one before it")
        packet = read_packet(message)
        if packet.kind == CONNECT:
            return self._connect(packet)
        if packet.namespace != self.namespace:
            raise ProtocolError("not connected to this namespace")
        if packet.kind == DISCONNECT:
            self._has_left = True
            raise CloseSession(CloseCode.NORMAL)
        if packet.attachments:
            self._assembly.begin(packet)
            return PART
        return self._event(packet, packet.json)

    def _connect(self, packet: Packet) -> Command | RefusedCommand:
        namespace = packet.namespace
        if not is_namespace(namespace):
            self._refused = namespace
            return RefusedCommand(0, INVALID_NAMESPACE)
        if self.is_connected:
            raise ProtocolError("already connected")
        self.namespace = namespace
        self._address = "" if namespace == "/" else namespace + ","
        body = read_auth(packet.json)
        if isinstance(body, MalformedCommand):
            return body
        self._has_positions = body.recovery
        self.name = f"socketio{self._address}{'' if body.recovery else '-'}"
        return Command(0, "connect", body)

    def _event(self, packet: Packet, text: str) -> Command | RefusedCommand:
        try:
            parts = read_parts(text) if packet.kind != CONNECT_ERROR else []
            if WITHOUT_BYTES.get(packet.kind, packet.kind) != EVENT:
                return PART  # nobody waits for an acknowledgement of a client
            return read_event(packet.id, parts)
        except NotPortable as error:
            return MalformedCommand(packet.id, f"bad request: {error}")

    # What goes: answers

    def encode_reply(self, command: Command, result: Reply) -> Sequence[Frame]:
        name = command.name
        if name == "connect":
            self.is_connected = True
            body = _encode({"sid": result["client"], "pid": self.pid})
            if not self._has_positions:
                body = _encode({"sid": result["client"]})
            return [f"{MESSAGE}{CONNECT}{self._address}{body.decode()}"]
        if name == "subscribe":
            return self._subscribed(command, result)
        if name == "unsubscribe":
            self._leave(command.body.channel)
        if name == "rpc":
            result = result["data"]
        return [self._ack(command.id, result)] if command.id else []

    def encode_error(self, id: int, error: Error) -> Frame:
        body = {"code": error.code, "message": error.message}
        if id:
            return self._ack(id, {"error": body})
        if self._refused or not self.is_connected:
            return self._connect_error(error.code, error.message)
        return self._event_to_client("error", body)

    def _ack(self, id: int, result: Any) -> Frame:
        if not result and isinstance(result, dict):
            return f"{MESSAGE}{ACK}{self._address}{id - 1}[{{}}]"
        return write_packet(ACK, f"{self._address}{id - 1}", b"[%b]" % _encode(result))

    def _connect_error(self, code: int, message: str) -> str:
        namespace, self._refused = self._refused or self.namespace, ""
        address = "" if namespace in ("", "/") else namespace + ","
        body = _encode({"message": message, "data": {"code": code}})
        return f"{MESSAGE}{CONNECT_ERROR}{address}{body.decode()}"

    def _subscribed(self, command: Command, result: Reply) -> list[Frame]:
        """What was missed follows the acknowledgement."""
        room = command.body.channel
        missed = self.enter(room, result)
        return [self._ack(command.id, _about(room, result)), *missed] if command.id else missed

    # What goes: rooms

    def enter(self, room: str, reply: Reply) -> list[Frame]:
        """The connection has entered a room: note where it is. Return what it has missed.

        It is called at the moment of entering: what the room sends from now on has a later number.
        """
        self._leave(room)
        log = self._journal.enter(room, reply["epoch"])
        begin, current = self._journal.next(), reply["offset"]
        frames: list[Frame] = []
        for each in reply.get("publications", ()):
            current = each.offset
            last = self._journal.replayed(room, current, log.epoch)
            frames.append(self._publication(room, each, last))
        end = self._journal.next()
        log.add(end, current)
        self.joined[room] = Joined(log, begin, end, reply["offset"])
        return frames

    def leave_all(self) -> None:
        for room in list(self.joined):
            self._leave(room)

    def _leave(self, room: str) -> None:
        joined = self.joined.pop(room, None)
        if joined is not None:
            self._journal.leave(room, joined.log)

    def encode_publication(self, room: str, publication: Publication) -> Frame:
        return self._publication(room, publication, self._journal.text(room, publication.offset))

    def _publication(self, room: str, publication: Publication, last: str) -> Frame:
        end = b',"%b"]' % last.encode() if self._has_positions else b"]"
        return write_packet(EVENT, self._address, encode_event(room, publication) + end)

    def encode_presence(self, room: str, event: str, info: ClientInfo) -> Frame:
        return self._event_to_client("presence", {"room": room, "event": event, "info": info})

    def encode_rights(self) -> Frame:
        return self._event_to_client("rights", {})

    def encode_notice(self, text: str) -> Frame:
        return self._event_to_client("notice", {"text": text})

    def encode_subscribe(self, room: str, reply: Reply) -> Frame:
        self.enter(room, reply)
        return self.joined_event(room, reply)

    def joined_event(self, room: str, reply: Reply) -> Frame:
        """Report a room that the connection has entered without asking for it."""
        return self._event_to_client("joined", _about(room, reply))

    def encode_unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> Frame:
        self._leave(room)
        body = {"room": room, "code": int(code), "reason": reason}
        return self._event_to_client("unsubscribed", body)

    def encode_disconnect(self, code: CloseCode, reason: str) -> Frame:
        """A client library comes back by itself unless it is told to disconnect. One that is not
        connected yet learns the reason as an error, and does not come back."""
        is_final = code % 1000 >= 500
        if self._has_left:
            return ""
        if not self.is_connected:
            return self._connect_error(int(code), reason) if is_final and self.namespace else ""
        event = self._event_to_client("closed", {"code": int(code), "reason": reason})
        return (event, f"{MESSAGE}{DISCONNECT}{self._address}") if is_final else event

    def _event_to_client(self, name: str, body: Any) -> str:
        """An event of our own. Its last argument is an object: the client would take a text for the
        position of a publication."""
        return f'{MESSAGE}{EVENT}{self._address}["{name}",{_encode(body).decode()}]'


def _about(room: str, reply: Reply) -> dict[str, Any]:
    about: dict[str, Any] = {"room": room, "epoch": reply["epoch"], "offset": reply["offset"]}
    if "recovered" in reply:
        about["recovered"] = reply["recovered"]
    if "data" in reply:
        about["state"] = reply["data"]
    return about

"""The wire format of each kind of server: connecting, publishing and echoing."""

from __future__ import annotations

import json
import re
from typing import ClassVar

from realtime.protocols.protobuf.fields import delimited, field, varint

Message = str | bytes
"""A text or a binary message."""
Step = tuple[Message, bytes]
"""A message to send, "" for none, and the bytes to wait for in the answer."""


class Dialect:
    """Base class, and the format of a server on which connecting joins the room."""

    ping: ClassVar[Message] = ""
    pong: ClassVar[Message] = ""
    joins_lines: ClassVar[bool] = False
    """Whether a frame can hold several messages and pings, one per line."""
    ends_in_ping: ClassVar[bytes] = b""
    """What a frame ends with if its last message is a ping."""
    refusal: ClassVar[bytes] = b""
    """The bytes that begin a refusal."""
    offset: ClassVar[re.Pattern[bytes] | None] = None
    """Finds the number that the server gave to a message; None if it numbers none."""

    def path(self, room: str) -> str:
        return f"/ws/chat/{room}/"

    def headers(self, token: str) -> tuple[str, ...]:
        return ()

    def greeting(self, room: str) -> tuple[Step, ...]:
        return ()

    def publish(self, room: str, text: str, number: int) -> Message:
        raise NotImplementedError

    def echo(self, text: str, number: int) -> str:
        raise NotImplementedError


class Realtime(Dialect):
    """Our native protocol: a JWT in the subprotocol, and a room with history."""

    ping = "{}"
    pong = "{}"
    joins_lines = True
    refusal = b'"error":{'
    offset = re.compile(rb'"offset":(\d+)')
    subscription: ClassVar[dict[str, object]] = {"positioned": True, "recoverable": True}

    def path(self, room: str) -> str:
        return "/ws/"

    def headers(self, token: str) -> tuple[str, ...]:
        return (f"Sec-WebSocket-Protocol: realtime.v1, bearer.{token}",)

    def greeting(self, room: str) -> tuple[Step, ...]:
        subscribe = {"channel": room, **self.subscription}
        commands = ({"id": 1, "connect": {}}, {"id": 2, "subscribe": subscribe})
        return (("\n".join(map(_json, commands)), b'"id":2,"subscribe"'),)

    def publish(self, room: str, text: str, number: int) -> str:
        return f'{{"id":{number + 3},"publish":{{"channel":"{room}","data":"{text}"}}}}'

    def echo(self, text: str, number: int) -> str:
        return f'{{"id":{number + 3},"rpc":{{"method":"echo","data":"{text}"}}}}'


class Watching(Realtime):
    """Our native protocol, with notifications of members who join and leave."""

    subscription: ClassVar[dict[str, object]] = {**Realtime.subscription, "join_leave": True}


class Lobby(Realtime):
    """Our native protocol, signed in and in no room."""

    def greeting(self, room: str) -> tuple[Step, ...]:
        return ((_json({"id": 1, "connect": {}}), b'"id":1,"connect"'),)


class Anonymous(Realtime):
    """Our native protocol without a token, on a site that allows anonymous users."""

    def headers(self, token: str) -> tuple[str, ...]:
        return ("Sec-WebSocket-Protocol: realtime.v1",)


class AnonymousLobby(Lobby, Anonymous):
    pass


class Protobuf(Dialect):
    """Our native protocol in Protobuf. A payload stands in it as it is."""

    ping = b"\x00"
    pong = b"\x00"
    ends_in_ping = b"\x00"  # behind an offset, which does not end so
    refusal = b"permission denied"

    def path(self, room: str) -> str:
        return "/ws/"

    def headers(self, token: str) -> tuple[str, ...]:
        return (f"Sec-WebSocket-Protocol: centrifuge-protobuf, bearer.{token}",)

    def greeting(self, room: str) -> tuple[Step, ...]:
        subscribe = field(1, room.encode()) + b"\x48\x01\x50\x01"  # positioned, recoverable
        commands = (b"\x08\x01" + field(4, b""), b"\x08\x02" + field(5, subscribe))
        return ((b"".join(map(delimited, commands)), b"\x08\x02\x32"),)

    def publish(self, room: str, text: str, number: int) -> bytes:
        body = field(1, room.encode()) + field(2, b'"%b"' % text.encode())
        return delimited(b"\x08" + varint(number + 3) + field(7, body))


class Plain(Realtime):
    """Our plain protocol: the room is in the path, and each frame is one message."""

    ping = ""
    pong = ""
    joins_lines = False
    refusal = b'"type":"error"'

    def path(self, room: str) -> str:
        return f"/ws/rooms/{room}/"

    def greeting(self, room: str) -> tuple[Step, ...]:
        return (("", b'"type":"joined"'),)

    def publish(self, room: str, text: str, number: int) -> str:
        return f'"{text}"'


class Tutorial(Dialect):
    """The chat of the Channels tutorial, with an echo added."""

    def publish(self, room: str, text: str, number: int) -> str:
        return f'{{"message":"{text}"}}'

    def echo(self, text: str, number: int) -> str:
        return f'{{"echo":"{text}"}}'


class SocketIO(Dialect):
    """Socket.IO over WebSocket, without polling. An echo is an acknowledgement."""

    ping = "2"
    pong = "3"

    def path(self, room: str) -> str:
        return "/socket.io/?EIO=4&transport=websocket"

    def greeting(self, room: str) -> tuple[Step, ...]:
        return (("", b"0{"), ("40", b"40{"), (f'420["join","{room}"]', b"430["))

    def publish(self, room: str, text: str, number: int) -> str:
        return f'42["publish","{room}","{text}"]'

    def echo(self, text: str, number: int) -> str:
        return f'42{number}["echo","{text}"]'


class OurSocketIO(SocketIO):
    """The same on our server: with a JWT, an acknowledged join and numbered messages."""

    refusal = b'"error"'
    offset = Realtime.offset

    def headers(self, token: str) -> tuple[str, ...]:
        return (f"Authorization: Bearer {token}",)


class Bare(Dialect):
    """The chat servers without a protocol of their own: the room is in the path."""

    def greeting(self, room: str) -> tuple[Step, ...]:
        return (("", b"joined"),)

    def publish(self, room: str, text: str, number: int) -> str:
        return f'{{"publish":"{text}"}}'

    def echo(self, text: str, number: int) -> str:
        return f'{{"echo":"{text}"}}'


DIALECTS: dict[str, Dialect] = {
    "realtime": Realtime(),
    "watching": Watching(),
    "lobby": Lobby(),
    "anonymous": Anonymous(),
    "anonymous lobby": AnonymousLobby(),
    "protobuf": Protobuf(),
    "plain": Plain(),
    "tutorial": Tutorial(),
    "socketio": SocketIO(),
    "our socketio": OurSocketIO(),
    "bare": Bare(),
}


def _json(command: object) -> str:
    return json.dumps(command, separators=(",", ":"))

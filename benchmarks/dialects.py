"""What a client says to each kind of server: to get in, to publish, and to be echoed."""

from __future__ import annotations

import json
import re
from typing import ClassVar

Step = tuple[str, bytes]
"""What is said, "" for nothing, and what of the server's answer is waited for."""


class Dialect:
    """A server to which connecting is all that it takes to be in a room."""

    ping: ClassVar[str] = ""
    pong: ClassVar[str] = ""
    joins_lines: ClassVar[bool] = False
    """Whether a frame holds several messages, and pings among them."""
    refusal: ClassVar[bytes] = b""
    """How a server begins to tell that a client may not come in."""
    offset: ClassVar[re.Pattern[bytes] | None] = None
    """Where the number stands that the server gave to a message."""

    def path(self, room: str) -> str:
        return f"/ws/chat/{room}/"

    def headers(self, token: str) -> tuple[str, ...]:
        return ()

    def greeting(self, room: str) -> tuple[Step, ...]:
        return ()

    def publish(self, room: str, text: str, number: int) -> str:
        raise NotImplementedError

    def echo(self, text: str, number: int) -> str:
        raise NotImplementedError


class Realtime(Dialect):
    """Ours: signed in by a JWT in the subprotocol, joined to a room with history."""

    ping = "{}"
    pong = "{}"
    joins_lines = True
    refusal = b'"error":{'
    offset = re.compile(rb'"offset":(\d+)')

    def path(self, room: str) -> str:
        return "/ws/"

    def headers(self, token: str) -> tuple[str, ...]:
        return (f"Sec-WebSocket-Protocol: realtime.v1, bearer.{token}",)

    def greeting(self, room: str) -> tuple[Step, ...]:
        subscribe = {"channel": room, "positioned": True, "recoverable": True}
        commands = ({"id": 1, "connect": {}}, {"id": 2, "subscribe": subscribe})
        return (("\n".join(map(_json, commands)), b'"id":2,"subscribe"'),)

    def publish(self, room: str, text: str, number: int) -> str:
        return f'{{"id":{number + 3},"publish":{{"channel":"{room}","data":"{text}"}}}}'

    def echo(self, text: str, number: int) -> str:
        return f'{{"id":{number + 3},"rpc":{{"method":"echo","data":"{text}"}}}}'


class Tutorial(Dialect):
    """The chat of the Channels tutorial, and one line more for the echo."""

    def publish(self, room: str, text: str, number: int) -> str:
        return f'{{"message":"{text}"}}'

    def echo(self, text: str, number: int) -> str:
        return f'{{"echo":"{text}"}}'


class SocketIO(Dialect):
    """Socket.IO over WebSocket from the first byte; an echo is an acknowledgement."""

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


class Bare(Dialect):
    """The broadcast server on `ws`: the room is in the path, "joined" is its first message."""

    def greeting(self, room: str) -> tuple[Step, ...]:
        return (("", b"joined"),)

    def publish(self, room: str, text: str, number: int) -> str:
        return f'{{"publish":"{text}"}}'

    def echo(self, text: str, number: int) -> str:
        return f'{{"echo":"{text}"}}'


DIALECTS: dict[str, Dialect] = {
    "realtime": Realtime(),
    "tutorial": Tutorial(),
    "socketio": SocketIO(),
    "bare": Bare(),
}


def _json(command: object) -> str:
    return json.dumps(command, separators=(",", ":"))

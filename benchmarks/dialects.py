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
    """Ours, where the client wants to be told who comes and goes."""

    subscription: ClassVar[dict[str, object]] = {**Realtime.subscription, "join_leave": True}


class Lobby(Realtime):
    """Ours, signed in and in no room yet."""

    def greeting(self, room: str) -> tuple[Step, ...]:
        return ((_json({"id": 1, "connect": {}}), b'"id":1,"connect"'),)


class Anonymous(Realtime):
    """Ours, on a site that lets in who is not signed in."""

    def headers(self, token: str) -> tuple[str, ...]:
        return ("Sec-WebSocket-Protocol: realtime.v1",)


class AnonymousLobby(Lobby, Anonymous):
    pass


class Plain(Realtime):
    """Our plain protocol: the room is in the path, a frame is a message."""

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
    "watching": Watching(),
    "lobby": Lobby(),
    "anonymous": Anonymous(),
    "anonymous lobby": AnonymousLobby(),
    "plain": Plain(),
    "tutorial": Tutorial(),
    "socketio": SocketIO(),
    "bare": Bare(),
}


def _json(command: object) -> str:
    return json.dumps(command, separators=(",", ":"))

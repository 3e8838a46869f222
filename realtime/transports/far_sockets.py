"""WebSockets that reach another process than the one whose session they are for.

The process that holds the connection passes everything on, in both directions. What goes to the
client is numbered: if something is missing, the connection ends.
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..concurrency.eager import Rest
from ..conf import realtime_settings
from ..connection.inbox import Inbox
from ..hub.node import get_node
from ..protocols.engineio import decode_payload, encode_payload
from ..protocols.frames import Frame, Message, messages_of, size_of
from .asgi import TakenOver
from .relay import Body, Relay

GOING_AWAY = 1001


class FarSocket:
    """What `TakenOver` describes, for a connection that another process holds."""

    def __init__(self, relay: Relay, process: str, id: str, on_end: Callable[[], None]) -> None:
        self._relay = relay
        self._process = process
        self._id = id
        self._on_end = on_end
        self._inbox: Inbox | None = None
        self._unsent: list[Message] = []
        self._unsent_bytes = 0
        self._number = 0
        self._close: tuple[int, str] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._cut: asyncio.TimerHandle | None = None
        self._is_over = False
        relay.listeners[id] = self._hear

    def listen(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def start_pings(self, on_silence: Callable[[], None]) -> None:
        """Nothing: Engine.IO has pings of its own."""

    def write_frame(self, frame: Frame) -> bool:
        if not self._is_over and self._close is None:
            self._unsent += messages_of(frame)
            self._unsent_bytes += size_of(frame)
            self._go_on()
        return True

    def write_close(self, code: int, reason: str) -> bool:
        if not self._is_over and self._close is None:
            self._close = (code, reason)
            self._go_on()
        return True

    async def send(self, message: dict[str, Any], /) -> None:
        raise NotImplementedError("everything can be written at once")

    def held_bytes(self) -> int:
        return self._unsent_bytes

    def expect_end(self, seconds: float) -> None:
        if self._cut is None:
            self._cut = asyncio.get_running_loop().call_later(seconds, self._give_up)

    def shutdown(self) -> None:
        self.write_close(GOING_AWAY, "")

    async def take(self, packed: Body) -> None:
        """Take what the client has sent. Wait while too much waits to be handled."""
        if self._inbox is not None and not self._is_over:
            self._inbox.receive(_unpacked(packed))
            if self._inbox.is_full:
                await self._inbox.until_room()

    def end(self) -> None:
        """The connection has ended."""
        if self._is_over:
            return
        self._is_over = True
        del self._relay.listeners[self._id]
        if self._cut is not None:
            self._cut.cancel()
        if self._inbox is not None:
            self._inbox.end()
        self._on_end()

    def _hear(self, body: Body) -> None:
        """The other process says that the client has gone."""
        self.end()

    def _give_up(self) -> None:
        if self._inbox is not None:
            self._inbox.give_up()
        self.end()

    def _go_on(self) -> None:
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all(), name="realtime-far-socket")

    async def _send_all(self) -> None:
        has_closed = False
        while not has_closed and (self._unsent or self._close is not None):
            # What is written while this is sent goes together.
            packets, self._unsent, self._unsent_bytes = self._unsent, [], 0
            body: Body = {"number": self._number, "close": None}
            body["payload"] = encode_payload(packets) if packets else None
            if self._close is not None:
                body["close"], has_closed = list(self._close), True
            self._number += 1
            if not await self._relay.tell(self._process, self._id, body):
                self.end()
                return
        self._sending = None if not has_closed else self._sending


class Passage:
    """Passes on what comes over a connection of this process to the one whose session it is for,
    and what comes from there to the client."""

    def __init__(self, relay: Relay, process: str, id: str, socket: TakenOver) -> None:
        self._relay = relay
        self._process = process
        self._id = id
        self._socket = socket
        self._number = 0
        self._waiting: deque[dict[str, Any]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._is_over = False
        relay.listeners[id] = self._hear
        socket.listen(Inbox(self, on_end=self._end))

    # What the client sends

    def receive(self, message: Message) -> Rest | None:
        return None if self._is_over else self._say(message)

    async def _say(self, message: Message) -> None:
        question = {"method": "SAY", "socket": self._id, "body": _packed(message)}
        answer = await self._relay.ask(self._process, question, realtime_settings.HOOK_SECONDS + 10)
        if answer is None or answer["status"] != 200:
            self._close(GOING_AWAY, "")

    def charge(self, frames: int) -> None:
        if not get_node().command_limit.take(f"socket {self._id}", frames):
            self._close(GOING_AWAY, "too many frames")

    def fail(self) -> None:
        self._close(GOING_AWAY, "")

    # What the other process sends

    def _hear(self, body: Body) -> None:
        if body["number"] != self._number:
            self._close(GOING_AWAY, "")  # something is lost
            return
        self._number += 1
        if body["payload"] is not None:
            for message in decode_payload(body["payload"]):
                kind = "text" if isinstance(message, str) else "bytes"
                self._write(message, {"type": "websocket.send", kind: message})
        if body["close"] is not None:
            self._close(*body["close"])

    def _write(self, message: Message, event: dict[str, Any]) -> None:
        if self._writing is not None or not self._socket.write_frame(message):
            self._send(event)

    def _close(self, code: int, reason: str) -> None:
        if self._is_over:
            return
        self._end()
        self._socket.expect_end(realtime_settings.CLOSE_SECONDS)
        if self._writing is not None or not self._socket.write_close(code, reason):
            self._send({"type": "websocket.close", "code": code, "reason": reason})

    def _send(self, event: dict[str, Any]) -> None:
        self._waiting.append(event)
        if self._writing is None:
            self._writing = asyncio.create_task(self._send_all(), name="realtime-passage")

    async def _send_all(self) -> None:
        # The client may have gone; the end of the connection says so by itself.
        with suppress(Exception):
            while self._waiting:
                await self._socket.send(self._waiting.popleft())
        self._waiting.clear()
        self._writing = None

    def _end(self) -> None:
        """The connection has ended, or is about to."""
        if self._is_over:
            return
        self._is_over = True
        del self._relay.listeners[self._id]
        self._relay.tell_soon(self._process, self._id, {})


def _packed(message: Message) -> Body:
    """A message of a client, which may be anything, as every channel layer takes it."""
    if isinstance(message, str):
        return {"text": message}
    return {"base64": base64.b64encode(message).decode()}


def _unpacked(packed: Body) -> Message:
    text: str | None = packed.get("text")
    return base64.b64decode(packed["base64"]) if text is None else text

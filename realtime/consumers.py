"""The ASGI edge: frames in, frames out. What they mean is the session's business."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from channels.consumer import AsyncConsumer

from . import credentials
from .conf import realtime_settings
from .exceptions import AuthenticationError
from .hub import get_hub
from .protocols.centrifuge import CentrifugeProtocol, Connect, Subscribe
from .protocols.codes import CloseCode, Error
from .protocols.messages import Command, WireProtocol
from .protocols.plain import PlainProtocol
from .session import Session, State

logger = logging.getLogger("realtime.consumers")

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Outbox:
    """What a connection still has to send. Writing never waits; one task empties it.

    What gathers while a send is under way leaves in one frame, where the protocol has a separator.
    """

    def __init__(self, send: Send, separator: str | None) -> None:
        self._send = send
        self._separator = separator
        self._frames: deque[str] = deque()
        self._unsent_bytes = 0
        self._close: tuple[CloseCode, str] | None = None
        self._wake = asyncio.Event()
        self.on_overflow: Callable[[], None] = lambda: None

    def write(self, frame: str) -> None:
        self._frames.append(frame)
        self._unsent_bytes += len(frame)
        self._wake.set()
        if self._unsent_bytes > realtime_settings.OUTBOX_MAX_BYTES:
            self.on_overflow()

    def close(self, code: CloseCode, reason: str) -> None:
        if code is CloseCode.SLOW:
            self._frames.clear()
        self._close = (code, reason)
        self._wake.set()

    async def drain(self) -> None:
        """Send until the connection is closed, by us or by the other side."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._frames:
                await self._send({"type": "websocket.send", "text": self._next()})
            if self._close is not None:
                code, reason = self._close
                # A plain int: Daphne's WebSocket library takes no subclass.
                await self._send({"type": "websocket.close", "code": int(code), "reason": reason})
                return

    def _next(self) -> str:
        if self._separator is None:
            text = self._frames.popleft()
            self._unsent_bytes -= len(text)
            return text
        text = self._separator.join(self._frames)
        self._frames.clear()
        self._unsent_bytes = 0
        return text


class RealtimeConsumer(AsyncConsumer):  # type: ignore[misc]
    """The native protocol: one connection, many rooms.

    It has its own receive loop, because the one of Channels makes a task for every message of every
    socket, asks the database's thread at each, and skips the clean-up when a handler raises.
    """

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        subprotocol = credentials.selected_subprotocol(scope)
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        protocol = self.protocol(scope)
        outbox = Outbox(send, protocol.separator)
        session = Session(
            transport=outbox,
            protocol=protocol,
            hub=get_hub(),
            identity=scope.get("identity"),
            authentication_error=scope.get("authentication_error"),
        )
        outbox.on_overflow = lambda: session.close(CloseCode.SLOW)
        writing = asyncio.create_task(self._write(outbox))
        try:
            await self.opened(session, scope)
            await self._read(receive, session)
        finally:
            session.end()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    def protocol(self, scope: dict[str, Any]) -> WireProtocol:
        return _CENTRIFUGE

    async def opened(self, session: Session, scope: dict[str, Any]) -> None:
        session.open()
        error = scope.get("authentication_error")
        # An expired token may be replaced by one in the connect command; nothing else may.
        if error is not None and not (
            isinstance(error, AuthenticationError) and error.close_code is CloseCode.EXPIRED
        ):
            session.close(getattr(error, "close_code", CloseCode.INTERNAL))

    async def _read(self, receive: Receive, session: Session) -> None:
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                return
            if session.state is State.CLOSED:
                continue  # what comes after our close, until the client answers it
            text = event.get("text")
            if text is None:
                session.close(CloseCode.BAD_REQUEST, "text frames only")
            elif len(text) > realtime_settings.FRAME_MAX_BYTES:
                session.close(CloseCode.BAD_REQUEST, "the frame is too large")
            else:
                await session.receive(text)

    async def _write(self, outbox: Outbox) -> None:
        try:
            await outbox.drain()
        except Exception as error:
            # The other side has gone; the receive loop hears of it by itself.
            logger.debug("a connection could not be written to: %s", type(error).__name__)


class PlainConsumer(RealtimeConsumer):
    """The plain protocol: connecting joins the room of the URL, every frame is a message."""

    def protocol(self, scope: dict[str, Any]) -> WireProtocol:
        return PlainProtocol(_room(scope))

    async def opened(self, session: Session, scope: dict[str, Any]) -> None:
        session.open()
        # Nothing can be tried again on this socket, so what a command answers also ends it.
        for command in (
            Command(0, "connect", Connect()),
            Command(0, "subscribe", Subscribe(channel=_room(scope))),
        ):
            error = await session.run(command)
            if error is not None:
                session.close(_CLOSE_CODES.get(error.code, CloseCode.PERMISSION_DENIED))
            if session.state is State.CLOSED:
                return


def _room(scope: dict[str, Any]) -> str:
    room: str = scope["url_route"]["kwargs"]["room"]
    return room


_CENTRIFUGE = CentrifugeProtocol()
_CLOSE_CODES = {
    Error.INTERNAL.code: CloseCode.INTERNAL,
    Error.TOKEN_EXPIRED.code: CloseCode.EXPIRED,
}

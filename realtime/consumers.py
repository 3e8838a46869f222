"""The ASGI edge: frames in, frames out. What they mean is the session's business."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from channels.consumer import AsyncConsumer

from . import credentials, drain
from .conf import realtime_settings
from .exceptions import AuthenticationError
from .hub import get_hub
from .outbox import Outbox
from .protocols.centrifuge import CentrifugeProtocol, Connect
from .protocols.codes import CloseCode, Error
from .protocols.messages import Command, MalformedCommand, WireProtocol
from .protocols.plain import PlainProtocol
from .protocols.plain import subscribe as plain_subscribe
from .session import Session, State

logger = logging.getLogger("realtime.consumers")

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class RealtimeConsumer(AsyncConsumer):  # type: ignore[misc]
    """The native protocol: one connection, many rooms.

    It has its own receive loop, because the one of Channels makes a task for every message of every
    socket, asks the database's thread at each, and skips the clean-up when a handler raises.
    """

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        drain.install()
        subprotocol = credentials.selected_subprotocol(scope)
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        protocol, hub = self.protocol(scope), get_hub()
        outbox = Outbox(send, protocol)
        session = Session(
            transport=outbox,
            protocol=protocol,
            hub=hub,
            identity=scope.get("identity"),
            authentication_error=scope.get("authentication_error"),
            address=_address(scope),
        )
        outbox.on_overflow = lambda: session.close(CloseCode.SLOW)
        hub.sessions.add(session)
        try:
            async with asyncio.timeout(None) as deadline:
                outbox.on_close = lambda: deadline.reschedule(_close_deadline())
                await self._serve(scope, receive, session)
        except TimeoutError:
            logger.info("a client that was told to go did not; its connection is cut")
        finally:
            session.end()
            hub.sessions.discard(session)
            await outbox.end()

    async def _serve(self, scope: dict[str, Any], receive: Receive, session: Session) -> None:
        if drain.is_draining():
            session.close(CloseCode.SHUTDOWN)
        else:
            await self.opened(session, scope)
        await self._read(receive, session)

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


class PlainConsumer(RealtimeConsumer):
    """The plain protocol: connecting joins the room of the URL, every frame is a message."""

    def protocol(self, scope: dict[str, Any]) -> WireProtocol:
        return PlainProtocol(_room(scope))

    async def opened(self, session: Session, scope: dict[str, Any]) -> None:
        session.open()
        try:
            subscribe = plain_subscribe(_room(scope), scope["query_string"].decode("latin-1"))
        except MalformedCommand as malformed:
            await session.run(malformed)
            session.close(CloseCode.BAD_REQUEST)
            return
        # Nothing can be tried again on this socket, so what a command answers also ends it.
        for command in (Command(0, "connect", Connect()), Command(0, "subscribe", subscribe)):
            error = await session.run(command)
            if error is not None:
                session.close(_CLOSE_CODES.get(error.code, CloseCode.PERMISSION_DENIED))
            if session.state is State.CLOSED:
                return


def _close_deadline() -> float:
    """When, on the clock of the loop, a connection that we close is given up."""
    return asyncio.get_running_loop().time() + float(realtime_settings.CLOSE_SECONDS)


def _address(scope: dict[str, Any]) -> str:
    """Where the client is, as the server sees it; servers know how to ask a proxy in front."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _room(scope: dict[str, Any]) -> str:
    room: str = scope["url_route"]["kwargs"]["room"]
    return room


_CENTRIFUGE = CentrifugeProtocol()
_CLOSE_CODES = {
    Error.INTERNAL.code: CloseCode.INTERNAL,
    Error.TOKEN_EXPIRED.code: CloseCode.EXPIRED,
}

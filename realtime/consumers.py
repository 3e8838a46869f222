"""The ASGI edge: frames in, frames out. What they mean is the session's business."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from channels.consumer import AsyncConsumer

from .authentication import credentials
from .codes import CloseCode, Error
from .conf import realtime_settings
from .connection.inbox import Inbox
from .connection.outbox import Outbox
from .connection.session import Session
from .exceptions import AuthenticationError
from .hub import collector, drain
from .hub.hub import get_hub
from .protocols.base import WireProtocol
from .protocols.centrifuge import CentrifugeProtocol
from .protocols.plain import PlainProtocol
from .protocols.plain import subscribe as plain_subscribe
from .protocols.requests import Command, Connect, MalformedCommand
from .transports import daphne

if TYPE_CHECKING:
    from .transports.websocket import Socket

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
        collector.set_up()
        subprotocol = credentials.selected_subprotocol(scope)
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        socket = self.take_over(receive, send)
        if socket is None:
            await self._serve(scope, receive, send)
        else:
            self._hand_over(scope, socket)

    def protocol(self, scope: dict[str, Any]) -> WireProtocol:
        return _CENTRIFUGE

    def take_over(self, receive: Receive, send: Send) -> Socket | None:
        """The connection itself, where the server gives it away: nothing of what has called us has
        to wait for the client's next word then. None where it does not, or where some middleware
        wants to see what is received or sent."""
        server = getattr(send, "__self__", None)
        take_over = getattr(server, "take_over", None)
        if take_over is None or getattr(receive, "__self__", None) is not server:
            return None
        socket: Socket | None = take_over()
        return socket

    def opened(self, session: Session, scope: dict[str, Any]) -> Coroutine[Any, Any, None] | None:
        """Begin. What is returned has to be done before the client is listened to."""
        session.open()
        error = scope.get("authentication_error")
        # An expired token may be replaced by one in the connect command; nothing else may.
        if error is not None and not (
            isinstance(error, AuthenticationError) and error.close_code is CloseCode.EXPIRED
        ):
            session.close(getattr(error, "close_code", CloseCode.INTERNAL))
        return None

    def _hand_over(self, scope: dict[str, Any], socket: Socket) -> None:
        try:
            session, outbox = self._session(scope, socket.send)
        except BaseException:
            socket.shutdown()  # nobody else would
            raise
        outbox.on_close = partial(socket.expect_end, realtime_settings.CLOSE_SECONDS)
        inbox = Inbox(session, on_end=partial(_leave, session, outbox))
        socket.listen(inbox)
        inbox.begin(partial(self._open, session, scope))

    async def _serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        daphne.give_time_to_close(send, realtime_settings.CLOSE_SECONDS)
        session, outbox = self._session(scope, send)
        try:
            async with asyncio.timeout(None) as deadline:
                outbox.on_close = lambda: deadline.reschedule(_close_deadline())
                if (opening := self._open(session, scope)) is not None:
                    await opening
                while (event := await receive())["type"] != "websocket.disconnect":
                    if (rest := session.receive(event.get("text"))) is not None:
                        await rest
        except TimeoutError:
            logger.info("a client that was told to go did not; its connection is cut")
        finally:
            _leave(session, outbox)
            await outbox.wait_until_over()

    def _session(self, scope: dict[str, Any], send: Send) -> tuple[Session, Outbox]:
        hub, protocol = get_hub(), self.protocol(scope)
        outbox = Outbox(send, protocol)
        session = Session(
            transport=outbox,
            protocol=protocol,
            hub=hub,
            identity=scope.get("identity"),
            authentication_error=scope.get("authentication_error"),
            address=_address(scope),
        )
        outbox.on_overflow = partial(session.close, CloseCode.SLOW)
        hub.sessions.add(session)
        return session, outbox

    def _open(self, session: Session, scope: dict[str, Any]) -> Coroutine[Any, Any, None] | None:
        if not drain.is_draining():
            return self.opened(session, scope)
        session.close(CloseCode.SHUTDOWN)
        return None


def _leave(session: Session, outbox: Outbox) -> None:
    """The connection has ended."""
    session.end()
    session.hub.sessions.discard(session)
    outbox.end()


class PlainConsumer(RealtimeConsumer):
    """The plain protocol: connecting joins the room of the URL, every frame is a message."""

    def protocol(self, scope: dict[str, Any]) -> WireProtocol:
        return PlainProtocol(_room(scope))

    def take_over(self, receive: Receive, send: Send) -> Socket | None:
        return None  # without pings of its own it needs those of the server

    def opened(self, session: Session, scope: dict[str, Any]) -> Coroutine[Any, Any, None] | None:
        session.open()
        return self._join(session, scope)

    async def _join(self, session: Session, scope: dict[str, Any]) -> None:
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
            if session.is_closed:
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

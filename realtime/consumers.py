"""The ASGI edge: connects a socket to a session. What frames mean is the session's business."""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import partial
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from channels.consumer import AsyncConsumer

from .authentication import subprotocols
from .codes import CloseCode, Error
from .concurrency.eager import Rest
from .conf import realtime_settings
from .connection.dispatcher import Dispatcher
from .connection.inbox import Inbox
from .connection.opening import leave, open_connection
from .connection.outbox import Outbox
from .connection.ports import Sink
from .connection.session import Session
from .connection.socketio_namespaces import Namespaces
from .exceptions import AuthenticationError, RealtimeError
from .hub import collector, drain
from .protocols import engineio
from .protocols.base import WireProtocol
from .protocols.centrifuge import CentrifugeProtocol
from .protocols.centrifuge_protobuf import CentrifugeProtobufProtocol
from .protocols.plain import plain_protocol
from .protocols.plain import subscribe as plain_subscribe
from .protocols.requests import Command, Connect, MalformedCommand
from .sparse_log import SparseLog
from .transports import servers
from .transports.asgi import Receive, Send, TakenOver
from .transports.events import EventSocket
from .transports.polling import PollingSession

logger = logging.getLogger("realtime.consumers")
_refused = SparseLog(logger)


class RealtimeConsumer(AsyncConsumer):  # type: ignore[misc]
    """The native protocol, in JSON or in Protobuf: one connection, many rooms.

    It has its own receive loop, because the one of Channels makes a task for every message of every
    socket, asks the database's thread at each, and skips the clean-up when a handler raises.
    """

    spoken: ClassVar[Collection[str]] = subprotocols.SPOKEN

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        if (reason := subprotocols.refusal(scope, self.spoken)) is not None:
            _refused.warning("refused a WebSocket: %s", reason)
            # Every server makes a 403 of it. uvicorn logs an error after any other answer.
            return await send({"type": "websocket.close", "code": 1000})
        drain.install()
        collector.tune()
        subprotocol = subprotocols.selected(scope, self.spoken)
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        socket = self.take_over(receive, send)
        if socket is not None:
            self._hand_over(scope, socket)
            return
        events = EventSocket(receive, send)
        outbox = self._hand_over(scope, events)
        try:
            await events.run()
        finally:
            await outbox.wait_until_over()

    def protocol(self, scope: dict[str, Any]) -> WireProtocol:
        is_binary = subprotocols.selected(scope, self.spoken) == subprotocols.PROTOBUF
        return _CENTRIFUGE_PROTOBUF if is_binary else _CENTRIFUGE

    def take_over(self, receive: Receive, send: Send) -> TakenOver | None:
        return servers.take_over(receive, send)

    def opened(self, session: Session, receiver: Any, scope: dict[str, Any]) -> Rest | None:
        """Begin. What is returned has to be done before the client is listened to."""
        session.open()
        error = scope.get("authentication_error")
        if error is not None and not _may_be_replaced(error):
            session.close(*_close_of(error))
        return None

    def _hand_over(self, scope: dict[str, Any], socket: TakenOver) -> Outbox:
        try:
            opened = self._session(scope, socket)
        except BaseException:
            socket.shutdown()  # nobody else would close it
            raise
        session, outbox, receiver = opened
        outbox.on_close = partial(socket.expect_end, realtime_settings.CLOSE_SECONDS)
        inbox = Inbox(receiver, on_end=partial(self.ended, *opened))
        socket.listen(inbox)
        if not session.protocol.has_pings:
            socket.start_pings(partial(_end_silent, session))
        inbox.begin(partial(self._open, session, receiver, scope))
        return outbox

    def open_polling(self, scope: dict[str, Any], polling: PollingSession) -> None:
        """Begin the session of a client that polls over HTTP."""
        session, outbox, receiver = opened = self._session(scope, polling.sink)

        def end() -> None:
            self.ended(*opened)
            polling.ended()

        inbox = Inbox(receiver, on_end=end)
        polling.listen(outbox, inbox, lambda: session.user_id)
        inbox.begin(partial(self._open, session, receiver, scope))

    def _session(self, scope: dict[str, Any], sink: Sink) -> tuple[Session, Outbox, Any]:
        """Return the session, its outbox, and what takes the frames of the client."""
        session, outbox = open_connection(scope, sink, self.protocol(scope))
        return session, outbox, Dispatcher(session)

    def ended(self, session: Session, outbox: Outbox, receiver: Any) -> None:
        """The connection has ended."""
        leave(session, outbox)

    def _open(self, session: Session, receiver: Any, scope: dict[str, Any]) -> Rest | None:
        if not drain.is_draining():
            return self.opened(session, receiver, scope)
        session.close(CloseCode.SHUTDOWN)
        return None


def _may_be_replaced(error: RealtimeError) -> bool:
    """Return whether a token in the connect command may take the place of the credential: of one
    that has expired, or of a session that the browser has added by itself."""
    is_expired = isinstance(error, AuthenticationError) and error.close_code is CloseCode.EXPIRED
    return is_expired or error.ambient


def _close_of(error: RealtimeError) -> tuple[CloseCode, str]:
    """Return the code and the reason to close with after an error of the credential."""
    if isinstance(error, AuthenticationError):
        return error.close_code, error.reason
    return CloseCode.INTERNAL, ""


def _end_silent(session: Session) -> None:
    """A ping was not answered."""
    if not session.is_busy:  # else the client may not be read at the moment
        session.close(CloseCode.NO_PONG)


class PlainConsumer(RealtimeConsumer):
    """The plain protocol: connecting joins the room of the URL, every frame is a message."""

    spoken = (subprotocols.JSON,)

    def protocol(self, scope: dict[str, Any]) -> WireProtocol:
        return plain_protocol(_room(scope))

    def opened(self, session: Session, receiver: Any, scope: dict[str, Any]) -> Rest | None:
        session.open()
        return self._join(session, receiver, scope)

    async def _join(self, session: Session, dispatcher: Dispatcher, scope: dict[str, Any]) -> None:
        try:
            subscribe = plain_subscribe(_room(scope), scope["query_string"].decode("latin-1"))
        except MalformedCommand as malformed:
            await dispatcher.run(malformed)
            session.close(CloseCode.BAD_REQUEST)
            return
        # Nothing can be tried again on this socket, so an error of a command also closes it.
        for command in (Command(0, "connect", Connect()), Command(0, "subscribe", subscribe)):
            error = await dispatcher.run(command)
            if error is not None:
                session.close(_CLOSE_CODES.get(error.code, CloseCode.PERMISSION_DENIED))
            if session.is_closed:
                return


class SocketIOConsumer(RealtimeConsumer):
    """The protocol of Socket.IO over WebSocket."""

    spoken = (subprotocols.JSON,)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        if (query.get("EIO"), query.get("transport")) != (engineio.VERSION, "websocket"):
            _refused.warning("refused a WebSocket: it is not of Socket.IO 3 or 4")
            await receive()
            return await send({"type": "websocket.close", "code": 1000})
        await super().__call__(scope, receive, send)

    def opened(self, session: Session, receiver: Any, scope: dict[str, Any]) -> Rest | None:
        """Begin. A credential that was refused is an answer to the connect that follows."""
        session.open()
        if scope["type"] == "websocket":
            session.write(engineio.open_packet(session.id))
        return None

    def _session(self, scope: dict[str, Any], sink: Sink) -> tuple[Session, Outbox, Any]:
        namespaces = Namespaces(scope, sink)
        return namespaces.session, namespaces.outbox, namespaces

    def ended(self, session: Session, outbox: Outbox, receiver: Namespaces) -> None:
        receiver.end()


def _room(scope: dict[str, Any]) -> str:
    room: str = scope["url_route"]["kwargs"]["room"]
    return room


_CENTRIFUGE = CentrifugeProtocol()
_CENTRIFUGE_PROTOBUF = CentrifugeProtobufProtocol()
_CLOSE_CODES = {
    Error.INTERNAL.code: CloseCode.INTERNAL,
    Error.TOKEN_EXPIRED.code: CloseCode.EXPIRED,
}

"""The namespaces of one connection of Socket.IO: each is a session of its own, over one socket.

They may have different users. One that ends for good, or that its client leaves, leaves the others
alone. What its client should come back from ends the whole connection: the client library connects
to all namespaces again, and to none of them alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from ..codes import CloseCode
from ..concurrency.eager import Rest
from ..protocols.base import ProtocolError
from ..protocols.engineio import MESSAGE
from ..protocols.frames import Frame, Message
from ..protocols.socketio import ENGINE_PACKETS
from ..protocols.socketio_connect import is_namespace
from ..protocols.socketio_packets import CONNECT, read_packet
from .dispatcher import Dispatcher
from .opening import new_session
from .outbox import Outbox
from .ports import Sink
from .socketio import SocketIOSession, is_final, new_protocol

_CONNECT = MESSAGE + CONNECT


class Namespace(NamedTuple):
    """One that the client is connected to, or connects to."""

    session: SocketIOSession
    dispatcher: Dispatcher


class Branch:
    """The output of one session: a part of the connection."""

    __slots__ = ("_connection", "_outbox", "write")

    def __init__(self, connection: Namespaces, outbox: Outbox) -> None:
        self._connection = connection
        self._outbox = outbox
        self.write: Callable[[Frame], None] = outbox.write
        """As `Transport.write`, without a call in between."""

    @property
    def is_congested(self) -> bool:
        return self._outbox.is_congested

    @property
    def unsent_bytes(self) -> int:
        return self._outbox.unsent_bytes

    def write_along(self, frame: Frame) -> None:
        self._outbox.write_along(frame)

    def flush(self) -> None:
        self._outbox.flush()

    def acknowledge(self) -> bool:
        return self._outbox.acknowledge()

    def close(self, code: CloseCode, reason: str, last: Frame = "") -> None:
        self._connection.close_one(code, reason, last)

    def may_ping(self, session: SocketIOSession) -> bool:
        """Return whether this session is the one that pings the client."""
        return self._connection.may_ping(session)


class Namespaces:
    """Hands what a client sends to the sessions of its namespaces.

    Nearly every connection has one. It gets everything, without a look at it.
    """

    __slots__ = ("_assembling", "_credential", "_first", "_pinging", "_several", "outbox")

    def __init__(self, scope: dict[str, Any], sink: Sink) -> None:
        protocol = new_protocol()
        self.outbox = Outbox(sink, protocol)
        self.outbox.on_overflow = self._on_overflow
        # Of the scope no more: it has all headers.
        names = ("identity", "authentication_error", "client")
        self._credential = {name: scope.get(name) for name in names}
        self._first = self._open(protocol)
        self._several: dict[str, Namespace] | None = None
        """All that are alive, by their names, once there has been a second one."""
        self._assembling: Namespace | None = None
        """Whose attachments are expected."""
        self._pinging: SocketIOSession | None = None

    @property
    def session(self) -> SocketIOSession:
        """That of the first namespace."""
        return self._first.session

    def end(self) -> None:
        """The connection has ended."""
        for session in {self.session, *(each.session for each in (self._several or {}).values())}:
            session.end()
            session.node.sessions.discard(session)
        self.outbox.end()

    # What comes

    def receive(self, message: Message) -> Rest | None:
        if self._several is None:
            if message[:2] != _CONNECT or not self._is_for_another(message):
                return self._first.dispatcher.receive(message)
            self._several = {self._first.session.protocol.namespace: self._first}
        try:
            namespace = self._of(message, self._several)
        except ProtocolError as error:
            self._close_all(CloseCode.BAD_REQUEST, str(error))
            return None
        return None if namespace is None else namespace.dispatcher.receive(message)

    def charge(self, frames: int) -> None:
        for each in self._alive()[:1]:
            each.dispatcher.charge(frames)

    def fail(self) -> None:
        self._close_all(CloseCode.INTERNAL)

    def _is_for_another(self, message: Message) -> bool:
        """Return whether a client that is connected connects to another namespace as well."""
        protocol = self._first.session.protocol
        if not protocol.is_connected or not isinstance(message, str):
            return False
        try:
            namespace = read_packet(message).namespace
        except ProtocolError:
            return False
        return namespace != protocol.namespace and is_namespace(namespace)

    def _of(self, message: Message, several: dict[str, Namespace]) -> Namespace | None:
        """Return whom a message is for. Raises `ProtocolError`."""
        if isinstance(message, bytes):
            if self._assembling is None or not self._assembling.session.protocol.is_assembling:
                raise ProtocolError("an attachment without its packet")
            return self._assembling
        if message[:1] == MESSAGE:
            packet = read_packet(message)
            name, named = packet.namespace, several.get(packet.namespace)
            assembling, self._assembling = self._assembling, None
            if assembling not in (None, named) and assembling.session.protocol.is_assembling:
                raise ProtocolError("a packet before the attachments of the one before it")
            if named is None and packet.kind == CONNECT and is_namespace(name):
                named = several[name] = self._open(new_protocol())
                named.session.open()
            elif named is None and packet.kind != CONNECT:
                raise ProtocolError("not connected to this namespace")
            if named is not None:
                self._assembling = named
                return named
        elif message[:1] not in ENGINE_PACKETS:
            raise ProtocolError("unknown type of packet")
        # Of Engine.IO itself, or a namespace that nobody has.
        pinging = [each for each in self._alive() if each.session is self._pinging]
        return next(iter([*pinging, *self._alive()]), None)

    def _open(self, protocol: Any) -> Namespace:
        branch = Branch(self, self.outbox)
        session = new_session(self._credential, branch, protocol, SocketIOSession)
        return Namespace(session, Dispatcher(session))

    # Pings: one session counts for all

    def may_ping(self, session: SocketIOSession) -> bool:
        if self._pinging is None or self._pinging.is_closed:
            self._pinging = session
        return self._pinging is session

    # Ends

    def _alive(self) -> list[Namespace]:
        namespaces = [self._first] if self._several is None else list(self._several.values())
        return [each for each in namespaces if not each.session.is_closed]

    def close_one(self, code: CloseCode, reason: str, last: Frame) -> None:
        """A session has closed."""
        others = self._alive()
        if others and is_final(code):
            self.outbox.flush()
            self.outbox.write(last)
            self._forget_closed()
            for each in others:
                if each.session.protocol.is_connected and self.may_ping(each.session):
                    each.session.timers.start_pings()
                    break
            return
        for each in others:
            each.session.end()  # its client comes back, and finds what it was in
        self.outbox.close(code, reason, last)

    def _forget_closed(self) -> None:
        several = self._several or {}
        for name, each in list(several.items()):
            if each.session.is_closed:
                del several[name]
                # Whoever closes them may go through all sessions of the process.
                sessions = each.session.node.sessions
                asyncio.get_running_loop().call_soon(sessions.discard, each.session)

    def _on_overflow(self) -> None:
        for each in self._alive()[:1]:
            each.session.close(CloseCode.SLOW)

    def _close_all(self, code: CloseCode, reason: str = "") -> None:
        """End the connection for something that concerns all of it."""
        for each in self._alive():
            each.session.close(code, reason)

"""One connection: who it is, what it may do, what it is joined to. Knows no sockets."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from . import __version__, authentication, publishing, rights, rooms, threads
from .authentication import ANONYMOUS, Identity
from .conf import realtime_settings
from .exceptions import AuthenticationError, AuthenticationUnavailable, RealtimeError
from .hub import Hub
from .protocols import centrifuge
from .protocols.codes import CloseCode, Error, UnsubscribeCode
from .protocols.messages import (
    ClientInfo,
    Command,
    CommandError,
    MalformedCommand,
    ProtocolError,
    WireProtocol,
)
from .rights import Grant

logger = logging.getLogger("realtime.session")

Reply = dict[str, Any]


class State(Enum):
    """A session is opened, connects, and is closed once."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"


class Transport(Protocol):
    """What a session writes to. Neither method waits."""

    def write(self, frame: str) -> None: ...
    def close(self, code: CloseCode, reason: str) -> None: ...


class CloseSession(Exception):
    """Raised by a command to end its connection."""

    def __init__(self, code: CloseCode, reason: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason or code.reason


@dataclass(slots=True)
class _Timers:
    """The clocks of one connection; each is a handle of the event loop."""

    connect: asyncio.TimerHandle | None = None
    ping: asyncio.TimerHandle | None = None
    pong: asyncio.TimerHandle | None = None
    expiry: asyncio.TimerHandle | None = None

    def start(self, name: str, seconds: float, callback: Callable[[], None]) -> None:
        self.stop(name)
        # A token may live for years; the loop's clock takes no delay beyond some days.
        delay = min(max(seconds, 0), 86_400)
        setattr(self, name, asyncio.get_running_loop().call_later(delay, callback))

    def stop(self, name: str) -> None:
        handle = getattr(self, name)
        if handle is not None:
            handle.cancel()
            setattr(self, name, None)

    def stop_all(self) -> None:
        for name in self.__slots__:
            self.stop(name)


class Session:
    """The state machine of one connection.

    `identity` and `authentication_error` are what the middleware found in the scope; a token in the
    `connect` command may take their place.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        protocol: WireProtocol,
        hub: Hub,
        identity: Identity | None = None,
        authentication_error: RealtimeError | None = None,
    ) -> None:
        self.id = str(uuid.uuid4())
        self.state = State.CONNECTING
        self.transport = transport
        self.protocol = protocol
        self.hub = hub
        self.identity = identity
        self.rooms: dict[str, Grant] = {}
        self._authentication_error = authentication_error
        self._timers = _Timers()
        self._errors_in_a_row = 0
        self._busy = False
        self._handlers: dict[str, Callable[[Any], Awaitable[Reply | None]]] = {
            "connect": self._connect,
            "refresh": self._refresh,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "publish": self._publish,
            "rpc": self._rpc,
            "send": self._send,
            "ping": self._ping,
            "pong": self._pong,
        }

    def open(self) -> None:
        """Start the clock for the `connect` command."""
        self._timers.start(
            "connect", realtime_settings.CONNECT_SECONDS, lambda: self.close(CloseCode.STALE)
        )

    async def receive(self, text: str) -> None:
        """Obey the commands of one frame, in order."""
        try:
            commands = self.protocol.decode(text)
        except ProtocolError as error:
            self.close(CloseCode.BAD_REQUEST, str(error))
            return
        for command in commands:
            if self.state is State.CLOSED:
                return
            await self.run(command)

    async def run(self, command: Command | MalformedCommand) -> Error | None:
        """Obey one command and write its reply. Returns the error that it was answered with."""
        self._busy = True
        try:
            if isinstance(command, MalformedCommand):
                raise command
            result = await self._handler(command)(command.body)
        except CloseSession as request:
            self.close(request.code, request.reason)
            return None
        except (CommandError, RealtimeError) as refused:
            error = refused.error
        except Exception:
            # A mistake of ours or of a site's hook: the client gets a number to ask us by.
            reference = uuid.uuid4().hex[:8]
            logger.exception("a command failed, reference %s", reference)
            message = f"internal server error, reference {reference}"
            error = Error(Error.INTERNAL.code, message, temporary=True)
        else:
            self._errors_in_a_row = 0
            if result is not None and isinstance(command, Command):
                self._write(self.protocol.encode_reply(command, result))
            return None
        finally:
            self._busy = False
        self._write(self.protocol.encode_error(command.id, error))
        self._count_error(error)
        return error

    def deliver(self, frame: str) -> None:
        """Called by the hub, with a publication as this session's protocol encodes it."""
        self._write(frame)

    def unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> None:
        """End a subscription from the server's side, and tell the client."""
        if self._leave(room):
            self._write(self.protocol.encode_unsubscribe(room, code, reason))

    def close(self, code: CloseCode, reason: str = "") -> None:
        """End the connection with a code of the protocol. Does nothing the second time."""
        if self.state is State.CLOSED:
            return
        reason = reason or code.reason
        self._write(self.protocol.encode_disconnect(code, reason))
        self.end()
        self.transport.close(code, reason)

    def end(self) -> None:
        """Leave everything behind tidy: no room, no clock. Called also when the socket has gone."""
        self.state = State.CLOSED
        self._timers.stop_all()
        for room in list(self.rooms):
            self._leave(room)

    # Commands

    def _handler(self, command: Command) -> Callable[[Any], Awaitable[Reply | None]]:
        if self.state is State.CONNECTING and command.name != "connect":
            raise CloseSession(CloseCode.BAD_REQUEST, "the first command is connect")
        handler = self._handlers.get(command.name)
        if handler is None:
            raise CommandError(Error.NOT_AVAILABLE)
        return handler

    async def _connect(self, body: centrifuge.Connect) -> Reply:
        if self.state is not State.CONNECTING:
            raise CommandError(Error(Error.BAD_REQUEST.code, "bad request: already connected"))
        identity = await self._identify(body.token)
        if self.state is not State.CONNECTING:
            raise CloseSession(CloseCode.STALE)  # the socket has gone meanwhile
        self.identity = identity
        self.state = State.CONNECTED
        self._timers.stop("connect")
        self._watch_expiry()
        reply = {"client": self.id, "version": f"realtime {__version__}", **self._expiry()}
        if self.protocol.has_pings:
            self._schedule_ping()
            reply |= {"ping": int(realtime_settings.PING_SECONDS) or 1, "pong": True}
        return reply

    async def _refresh(self, body: centrifuge.Refresh) -> Reply:
        try:
            identity = await authentication.authenticate(body.token)
        except AuthenticationError as error:
            if error.error.code != Error.TOKEN_EXPIRED.code:
                raise CloseSession(CloseCode.INVALID_TOKEN) from error
            # Temporary, or the SDKs would give the connection up rather than ask for a newer token.
            raise CommandError(Error(Error.TOKEN_EXPIRED.code, "token expired", True)) from error
        if identity.user_id != self._identity.user_id:
            raise CloseSession(CloseCode.INVALID_TOKEN, "a refresh can't change the user")
        self.identity = identity
        self._watch_expiry()
        return {"client": self.id, "version": f"realtime {__version__}", **self._expiry()}

    async def _subscribe(self, body: centrifuge.Subscribe) -> Reply:
        name = _required(body.channel, "channel")
        if name in self.rooms:
            raise CommandError(Error.ALREADY_SUBSCRIBED)
        if len(self.rooms) >= realtime_settings.ROOMS_PER_CONNECTION:
            raise CommandError(Error.LIMIT_EXCEEDED)
        grant = await self._require("join", name)
        # Read before the group is joined, so that it is never ahead of what is delivered.
        position = await self.hub.layer.position(name)
        try:
            await self.hub.enter(name)
            if self.state is State.CLOSED:
                raise CloseSession(CloseCode.NORMAL)
            # Added and answered in one step of the loop: no publication comes before the reply.
            self.hub.add(name, self)
            self.rooms[name] = grant
        finally:
            self.hub.release(name)
        return {
            "recoverable": False,
            "positioned": False,
            "epoch": position.epoch,
            "offset": position.offset,
        }

    async def _unsubscribe(self, body: centrifuge.Channel) -> Reply:
        self._leave(_required(body.channel, "channel"))
        return {}

    async def _publish(self, body: centrifuge.Publish) -> Reply:
        name = _required(body.channel, "channel")
        data = publishing.checked(bytes(body.data))
        grant = self.rooms.get(name) or await self._require("publish", name)
        if "publish" not in grant.actions or grant.room is None:
            raise CommandError(Error.PERMISSION_DENIED)
        data = await publishing.run_publish_hook(grant.room, self._identity.user, data)
        await publishing.append(self.hub.layer, name, data, self._client_info())
        return {}

    async def _rpc(self, body: centrifuge.Rpc) -> Reply:
        handler = rooms.rpc_handler(body.method)
        if handler is None:
            raise CommandError(Error.METHOD_NOT_FOUND)
        data = publishing.decode(publishing.checked(bytes(body.data)))
        result = await threads.call_hook(handler, self._identity.user, data)
        return {"data": publishing.raw(publishing.encode_result(result))}

    async def _send(self, body: centrifuge.Send) -> None:
        data = publishing.decode(publishing.checked(bytes(body.data)))
        for handler in rooms.send_handlers():
            await threads.call_hook(handler, self._identity.user, data)

    async def _ping(self, body: centrifuge.Ping) -> Reply:
        return {}

    async def _pong(self, body: None) -> None:
        self._timers.stop("pong")

    # Identity

    @property
    def _identity(self) -> Identity:
        return self.identity or ANONYMOUS

    async def _identify(self, token: str) -> Identity:
        """The identity of the scope or of `token`: one of them, not both."""
        if token:
            if self.identity is not None and not self.identity.ambient:
                raise CloseSession(CloseCode.INVALID_TOKEN, "two credentials at once are ambiguous")
            if "connect" not in realtime_settings.CREDENTIALS:
                raise CloseSession(CloseCode.INVALID_TOKEN, "a token in connect is not switched on")
            try:
                return await authentication.authenticate(token)
            except (AuthenticationError, AuthenticationUnavailable) as error:
                raise _answer_to(error) from error
        if self._authentication_error is not None:
            raise _answer_to(self._authentication_error)
        if self.identity is not None:
            return self.identity
        if realtime_settings.ALLOW_ANONYMOUS:
            return ANONYMOUS
        raise CloseSession(CloseCode.INVALID_TOKEN, "a token is needed to connect")

    def _expiry(self) -> Reply:
        expires_at = self._identity.expires_at
        if expires_at is None:
            return {"expires": False}
        return {"expires": True, "ttl": max(1, int(expires_at - time.time()))}

    def _watch_expiry(self) -> None:
        expires_at = self._identity.expires_at
        if expires_at is None:
            self._timers.stop("expiry")
            return
        grace = realtime_settings.EXPIRY_GRACE_SECONDS if self.protocol.has_pings else 0
        self._timers.start("expiry", expires_at + grace - time.time(), self._on_expiry)

    def _on_expiry(self) -> None:
        expires_at = self._identity.expires_at
        if expires_at is not None and expires_at > time.time():
            self._watch_expiry()
        else:
            self.close(CloseCode.EXPIRED)

    # Rooms

    async def _require(self, action: str, name: str) -> Grant:
        """The grant of this connection in a room. A room that may not be entered and one that does
        not exist are refused alike."""
        grant = await rights.agrant(self._identity, name)
        if action not in grant.actions:
            raise CommandError(Error.PERMISSION_DENIED)
        return grant

    def _leave(self, room: str) -> bool:
        if self.rooms.pop(room, None) is None:
            return False
        self.hub.leave(room, self)
        return True

    def _client_info(self) -> ClientInfo | None:
        user = self._identity.user
        if user.is_anonymous:
            return None
        info = authentication.public_info(user)
        return ClientInfo(user=self._identity.user_id, client=self.id, conn_info=info)

    # Writing and clocks

    def _write(self, frame: str) -> None:
        if frame and self.state is not State.CLOSED:
            self.transport.write(frame)

    def _count_error(self, error: Error) -> None:
        if error.code != Error.BAD_REQUEST.code:
            return
        self._errors_in_a_row += 1
        if self._errors_in_a_row >= realtime_settings.ERRORS_IN_A_ROW:
            self.close(CloseCode.TOO_MANY_ERRORS)

    def _schedule_ping(self) -> None:
        self._timers.start("ping", realtime_settings.PING_SECONDS, self._send_ping)

    def _send_ping(self) -> None:
        self._write(centrifuge.PING)
        self._schedule_ping()
        if self._timers.pong is None:
            self._timers.start("pong", realtime_settings.PONG_SECONDS, self._on_missing_pong)

    def _on_missing_pong(self) -> None:
        self._timers.stop("pong")
        if self._busy:
            return  # a pong that waits behind a command of the client is not missing
        self.close(CloseCode.NO_PONG)


def _required(value: str, name: str) -> str:
    if not value:
        raise CommandError(Error(Error.BAD_REQUEST.code, f"bad request: {name} is missing"))
    return value


def _answer_to(error: RealtimeError) -> Exception:
    """What a client is told about a credential: expired ones can be replaced on the same socket."""
    if not isinstance(error, AuthenticationError):
        return CloseSession(CloseCode.INTERNAL)
    if error.error.code == Error.TOKEN_EXPIRED.code:
        return CommandError(Error.TOKEN_EXPIRED)
    return CloseSession(CloseCode.INVALID_TOKEN, error.reason)

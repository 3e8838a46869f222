"""One connection: who it is, what it may do, what it is joined to. Knows no sockets."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Any, Protocol

import msgspec

from . import __version__, authentication, grants, publishing, rooms, threads
from .authentication import ANONYMOUS, Identity
from .changes import changes
from .conf import realtime_settings
from .exceptions import (
    AuthenticationError,
    AuthenticationUnavailable,
    InvalidPayload,
    LayerUnavailable,
    RealtimeError,
)
from .feed import Start, to_publication
from .grants import Grant
from .hub import Hub
from .layers.base import Attendance, Entry, Member, Retention
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
from .reading import to_client_infos
from .registry import Connection

logger = logging.getLogger("realtime.session")

# What ends a connection that is of no use without the room it was taken out of.
_CLOSE_CODES = {
    UnsubscribeCode.BY_SERVER: CloseCode.FORCED,
    UnsubscribeCode.INSUFFICIENT_STATE: CloseCode.INSUFFICIENT_STATE,
    UnsubscribeCode.EXPIRED: CloseCode.EXPIRED,
    UnsubscribeCode.STATE_INVALIDATED: CloseCode.STATE_INVALIDATED,
}
_TOO_MANY_TO_LIST = Error(
    Error.LIMIT_EXCEEDED.code, "limit exceeded: too many to list; ask for presence_stats"
)

Reply = dict[str, Any]
_TRIES = 10
APP_MAX = 64
IN_FLIGHT_MAX = 64
SECOND_LOOK_SECONDS = 0.5


class State(Enum):
    """A session is opened, connects, and is closed once."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"


class Transport(Protocol):
    """What a session writes to. No method waits."""

    @property
    def is_congested(self) -> bool:
        """Whether so much is unsent that nothing large should be added."""
        ...

    @property
    def unsent_bytes(self) -> int: ...

    def write(self, frame: str) -> None: ...
    def acknowledge(self) -> None:
        """The client has read everything up to a ping that it answers now."""
        ...

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
        address: str = "",
    ) -> None:
        self.id = str(uuid.uuid4())
        self.address = address
        self.opened_at = time.time()
        self.app = ""
        self.state = State.CONNECTING
        self.transport = transport
        self.protocol = protocol
        self.hub = hub
        self.identity = identity
        self.rooms: dict[str, Grant] = {}
        self._before_reply: list[str] | None = None
        self._shutting_down = False
        self._authentication_error = authentication_error
        self._timers = _Timers()
        self._errors_in_a_row = 0
        self._busy = False
        self._at_the_door = False
        self._in_flight = 0
        self._landed = asyncio.Event()
        self._info: tuple[Identity, ClientInfo | None] | None = None
        self._handlers: dict[str, Callable[[Any], Awaitable[Reply | None]]] = {
            "connect": self._connect,
            "refresh": self._refresh,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "publish": self._publish,
            "history": self._history,
            "presence": self._presence,
            "presence_stats": self._presence_stats,
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
        if self.identity is None:
            self._at_the_door = True
            if not self.hub.doorway.enter(self.address):
                self.close(CloseCode.TOO_MANY_REQUESTS)

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
            if not (isinstance(command, Command) and self._publish_at_once(command)):
                await self.run(command)
            elif self._in_flight >= IN_FLIGHT_MAX:
                await self._landed.wait()

    async def run(self, command: Command | MalformedCommand) -> Error | None:
        """Obey one command and write its reply. Returns the error that it was answered with."""
        self._busy = True
        try:
            return await self._answer(command)
        finally:
            self._busy = False
            if self._shutting_down and not self._in_flight:
                self.close(CloseCode.SHUTDOWN)

    async def _answer(self, command: Command | MalformedCommand) -> Error | None:
        try:
            self._spend(command)
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
                self._reply(command, result)
            return None
        self._write(self.protocol.encode_error(command.id, error))
        self._count_error(error)
        return error

    def _spend(self, command: Command | MalformedCommand) -> None:
        """Use up one command of the user's allowance; a pong is none."""
        if isinstance(command, Command) and command.name == "pong":
            return
        user = self._identity.user_id or self.id
        if self.hub.commands.take(user):
            return
        if self.hub.commands.is_exhausted(user):
            raise CloseSession(CloseCode.TOO_MANY_REQUESTS)
        raise CommandError(Error.TOO_MANY_REQUESTS)

    def deliver(self, frame: str) -> None:
        """Called by the hub, with a push as this session's protocol encodes it."""
        if self._before_reply is None:
            self._write(frame)
        else:
            self._before_reply.append(frame)

    def unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> None:
        """End a subscription from the server's side, and tell the client."""
        if not self._leave(room):
            return
        if self.protocol.has_one_room:
            self.close(_CLOSE_CODES[code], reason)
        else:
            self.deliver(self.protocol.encode_unsubscribe(room, code, reason))

    # Rights that change

    @property
    def user_id(self) -> str:
        return self._identity.user_id

    @property
    def sign_in(self) -> str:
        """Which sign-in the credential comes from: the `sid` claim of its token."""
        return self._identity.session_id

    @property
    def is_stale(self) -> bool:
        """Whether something of the user has changed since it was looked up."""
        return changes.since(self._identity.version, self.user_id)

    def accept_review(self, answer: grants.Answer, version: int) -> None:
        """Take the rights as they were at `version`: end what is not allowed any more."""
        if self.state is State.CLOSED or self.identity is None:
            return
        if answer.user is None:
            self.close(CloseCode.INVALID_TOKEN, "the user may not be connected any more")
            return
        self.identity = replace(self.identity, user=answer.user, version=version)
        for name, grant in answer.grants.items():
            held = self.rooms.get(name)
            if held is None or held.version > version:
                continue
            if grant.actions != held.actions:
                self.hub.reviewer.tell_soon([self])
            if "join" in grant.actions:
                self._hold(name, replace(grant, version=version))
            elif self.protocol.has_one_room:
                self.close(CloseCode.PERMISSION_DENIED)
            else:
                reason = "you may not be in this room any more"
                self.unsubscribe(name, UnsubscribeCode.BY_SERVER, reason)

    def accept_password(self, digest: str) -> None:
        """The password that `digest` tells was set by this connection's own sign-in."""
        self.identity = replace(self._identity, own_password=digest)

    def rename_sign_in(self, sign_in: str) -> None:
        """The sign-in goes on, and is called `sign_in` from now on."""
        self.identity = replace(self._identity, session_id=sign_in)

    def tell_of_rights(self) -> None:
        """Tell the client that what it may do has perhaps changed, here or elsewhere."""
        if self.state is State.CONNECTED:
            self.deliver(self.protocol.encode_rights())

    def show_notice(self, text: str) -> None:
        """Show the person a text of an administrator."""
        if self.state is State.CONNECTED:
            self.deliver(self.protocol.encode_notice(text))

    def describe(self, *, process: str, unsent_bytes: int) -> Connection:
        """This connection as administrators see it."""
        user = self._identity.user
        return Connection(
            client=self.id,
            user=self.user_id,
            username="" if user.is_anonymous else user.get_username(),
            since=self.opened_at,
            address=self.address,
            app=self.app,
            protocol=self.protocol.name,
            sign_in=self.sign_in,
            expires_at=self._identity.expires_at,
            rooms=sorted(self.rooms),
            unsent_bytes=unsent_bytes,
            process=process,
        )

    async def _be_let_in(self) -> None:
        """Raises `CloseSession` where the user has as many connections as are allowed."""
        registry = self.hub.registry
        try:
            await self.hub.hear_changes()
            if await registry.admit(self.id, self.user_id):
                return
            # One that ends just now may still be counted: a page that is loaded again has two.
            await asyncio.sleep(SECOND_LOOK_SECONDS)
            if await registry.admit(self.id, self.user_id):
                return
        except LayerUnavailable as error:
            raise CloseSession(CloseCode.INTERNAL) from error
        raise CloseSession(CloseCode.CONNECTION_LIMIT)

    def _leave_the_door(self) -> None:
        if self._at_the_door:
            self._at_the_door = False
            self.hub.doorway.leave(self.address)

    def _enroll(self) -> None:
        try:
            self.hub.enroll(self)
        except AuthenticationError as error:
            raise CloseSession(CloseCode.INVALID_TOKEN, error.reason) from error

    def shut_down(self) -> None:
        """Close because the server goes; a command that is under way is answered first."""
        self._shutting_down = True
        if not self._busy and not self._in_flight:
            self.close(CloseCode.SHUTDOWN)

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
        self._leave_the_door()
        self.hub.reviewer.dismiss(self)
        self.hub.registry.leave(self.id)
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
        given, self.identity = self.identity, await self._identify(body.token)
        self.app = " ".join((body.name[:APP_MAX], body.version[:APP_MAX])).strip()
        try:
            await self._be_let_in()
            self._enroll()
            subs = await self._enter_all(body.subs)
        except BaseException:
            self.hub.reviewer.dismiss(self)
            self.identity = given
            raise
        if self.state is not State.CONNECTING:
            raise CloseSession(CloseCode.STALE)  # the socket has gone meanwhile
        self.state = State.CONNECTED
        self._timers.stop("connect")
        self._leave_the_door()
        self.hub.registry.enter(self)
        self._watch_expiry()
        reply = {"client": self.id, "version": f"realtime {__version__}", **self._expiry()}
        if subs:
            reply["subs"] = subs
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
        if identity.scopes != self._identity.scopes:
            # What it holds was granted to the old token.
            self.rooms |= {name: replace(it, version=-1) for name, it in self.rooms.items()}
        self.identity = identity
        self._enroll()
        self.hub.reviewer.look_at([self])
        self.hub.registry.update(self)
        self._watch_expiry()
        return {"client": self.id, "version": f"realtime {__version__}", **self._expiry()}

    async def _subscribe(self, body: centrifuge.Subscribe) -> Reply:
        return await self._enter(_required(body.channel, "channel"), body)

    async def _unsubscribe(self, body: centrifuge.Channel) -> Reply:
        self._leave(_required(body.channel, "channel"))
        return {}

    async def _publish(self, body: centrifuge.Publish) -> Reply:
        name = _required(body.channel, "channel")
        data = publishing.checked(bytes(body.data))
        grant, room = await self._require("publish", name)
        data = await publishing.run_publish_hook(room, self._identity.user, data)
        if self._is_outdated(name, grant):
            await self._require("publish", name)
        await publishing.append_soon(self.hub.layer, room, data, self._client_info())
        return {}

    def _publish_at_once(self, command: Command) -> bool:
        """Begin a publication for which nothing has to be waited: the next command may follow while
        it is kept, so that many go to Redis together. Whether it was one."""
        if command.name != "publish":
            return False
        grant = self.rooms.get(command.body.channel)
        if grant is None or grant.room is None or "publish" not in grant.actions:
            return False
        room = grant.room
        if publishing.has_publish_hook(room) or self._is_outdated(room.name, grant):
            return False
        try:
            data = publishing.checked(bytes(command.body.data))
        except InvalidPayload:
            return False
        if not self.hub.commands.take(self._identity.user_id or self.id):
            return False
        kept = publishing.append_soon(self.hub.layer, room, data, self._client_info())
        self._in_flight += 1
        self._landed.clear()
        kept.add_done_callback(partial(self._on_kept, command))
        return True

    def _on_kept(self, command: Command, kept: asyncio.Future[Any]) -> None:
        self._in_flight -= 1
        if self._in_flight <= IN_FLIGHT_MAX // 2:
            self._landed.set()
        failed = None if kept.cancelled() else kept.exception()
        if failed is None:
            self._errors_in_a_row = 0
            self._reply(command, {})
        else:
            error = failed.error if isinstance(failed, RealtimeError) else Error.INTERNAL
            self._write(self.protocol.encode_error(command.id, error))
        if self._shutting_down and not self._busy and not self._in_flight:
            self.close(CloseCode.SHUTDOWN)

    async def _history(self, body: centrifuge.History) -> Reply:
        name = _required(body.channel, "channel")
        room = await self._room("join", name)
        if not rooms.retention(room).keeps:
            raise CommandError(Error.NOT_AVAILABLE)
        self._refuse_when_congested()
        most = realtime_settings.RECOVERY_MAX_MESSAGES
        page = await self.hub.layer.history(
            name,
            since=body.since.offset if body.since else None,
            limit=most if body.limit < 0 else min(body.limit, most),
            reverse=body.reverse,
        )
        if body.since and body.since.epoch not in ("", page.position.epoch):
            raise CommandError(Error.UNRECOVERABLE_POSITION)
        return {
            "publications": list(map(to_publication, _fitting(page.entries))),
            "epoch": page.position.epoch,
            "offset": page.position.offset,
        }

    async def _presence(self, body: centrifuge.Channel) -> Reply:
        attendance = await self._attendance(body, infos=True)
        if attendance.clients > realtime_settings.PRESENCE_MAX_CLIENTS:
            raise CommandError(_TOO_MANY_TO_LIST)
        return {"presence": {info.client: info for info in to_client_infos(attendance)}}

    async def _presence_stats(self, body: centrifuge.Channel) -> Reply:
        attendance = await self._attendance(body, infos=False)
        return {"num_clients": attendance.clients, "num_users": attendance.users}

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
        self.transport.acknowledge()

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

    async def _enter(self, name: str, options: centrifuge.SubscribeOptions) -> Reply:
        if name in self.rooms:
            raise CommandError(Error.ALREADY_SUBSCRIBED)
        if len(self.rooms) >= realtime_settings.ROOMS_PER_CONNECTION:
            raise CommandError(Error.LIMIT_EXCEEDED)
        if options.recover:
            self._refuse_when_congested()
        try:
            grant, room, start = await self._start(name, options)
            if self.state is State.CLOSED:
                raise CloseSession(CloseCode.NORMAL)
            if options.rejects_unrecovered and start.missed is None:
                raise CommandError(Error.UNRECOVERABLE_POSITION)
            # Added and answered in one step of the loop: no publication comes before the reply.
            self.hub.add(name, self, watches=options.join_leave and room.presence)
            self._hold(name, grant)
        finally:
            self.hub.release(name)
        self.hub.registry.update(self)
        info = self._client_info()
        if room.presence and info is not None:
            self.hub.roster.enter(name, Member(self.id, info.user, msgspec.json.encode(info)))
        return _subscribed(start, options, rooms.retention(room))

    async def _start(
        self, name: str, options: centrifuge.SubscribeOptions
    ) -> tuple[Grant, rooms.AnyRoom, Start]:
        """The right to enter, and where that begins: still true at the moment of the return."""
        for _ in range(_TRIES):
            version = changes.version
            grant, room = await self._require("join", name)
            changed_at = -1.0
            if options.recover:
                changed_at = await self.hub.last_change(self.user_id, name)
            start = await self.hub.start(name, options.since)
            if start.missed and changed_at >= start.missed_since_ms:
                # Perhaps the user was not allowed in for a while: nothing of that time is shown.
                start = Start(start.position)
            if version < 0 or not changes.since(version, self.user_id, name):
                return grant, room, start
        raise CommandError(Error.TOO_MANY_REQUESTS)

    def _hold(self, name: str, grant: Grant) -> None:
        self.rooms[name] = grant
        self.hub.reviewer.look_again_at(self, name, grant.until)
        if self._is_outdated(name, grant):
            self.hub.reviewer.look_at([self], name)

    def _is_outdated(self, name: str, grant: Grant) -> bool:
        ended = grant.until is not None and grant.until <= time.time()
        return ended or changes.since(grant.version, self.user_id, name)

    async def _enter_all(self, subs: dict[str, centrifuge.SubscribeOptions]) -> Reply:
        """Enter the rooms of a `connect`. Those that the user may not enter are left out."""
        if not subs:
            return {}
        # What rooms send before the reply to `connect` waits for it.
        self._before_reply = []
        replies = {}
        try:
            await grants.prepare(self._identity, subs)
            for name, options in subs.items():
                try:
                    replies[name] = await self._enter(name, options)
                except CommandError as refused:
                    if refused.error.temporary:
                        raise
        except BaseException:
            for name in list(self.rooms):
                self._leave(name)
            self._before_reply = None
            raise
        return replies

    async def _require(self, action: str, name: str) -> tuple[Grant, rooms.AnyRoom]:
        """The grant of this connection in a room. A room that may not be entered and one that does
        not exist are refused alike."""
        grant = self.rooms.get(name)
        if grant is None or self._is_outdated(name, grant):
            grant = await grants.agrant(self._identity, name)
        if action not in grant.actions or grant.room is None:
            raise CommandError(Error.PERMISSION_DENIED)
        return grant, grant.room

    async def _room(self, action: str, name: str) -> rooms.AnyRoom:
        return (await self._require(action, name))[1]

    async def _attendance(self, body: centrifuge.Channel, *, infos: bool) -> Attendance:
        name = _required(body.channel, "channel")
        if not (await self._room("join", name)).presence:
            raise CommandError(Error.NOT_AVAILABLE)
        self._refuse_when_congested()
        await self.hub.roster.settle()
        return await self.hub.layer.presence(name, infos=infos)

    def _refuse_when_congested(self) -> None:
        """A client that does not read what it has asked for gets no more of it."""
        if self.transport.is_congested:
            raise CommandError(Error.TOO_MANY_REQUESTS)

    def _leave(self, room: str) -> bool:
        if self.rooms.pop(room, None) is None:
            return False
        self.hub.leave(room, self)
        self.hub.roster.leave(room, self.id)
        self.hub.registry.update(self)
        return True

    def _client_info(self) -> ClientInfo | None:
        identity = self._identity
        if self._info is None or self._info[0] is not identity:
            self._info = (identity, self._make_client_info(identity))
        return self._info[1]

    def _make_client_info(self, identity: Identity) -> ClientInfo | None:
        if identity.user.is_anonymous:
            return None
        info = authentication.public_info(identity.user)
        return ClientInfo(user=identity.user_id, client=self.id, conn_info=info)

    # Writing and clocks

    def _reply(self, command: Command, result: Reply) -> None:
        for frame in self.protocol.encode_reply(command, result):
            self._write(frame)
        waiting, self._before_reply = self._before_reply, None
        for frame in waiting or ():
            self._write(frame)

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


def _subscribed(start: Start, options: centrifuge.SubscribeOptions, keep: Retention) -> Reply:
    reply: Reply = {
        "recoverable": keep.keeps,
        "positioned": True,
        "epoch": start.position.epoch,
        "offset": start.position.offset,
    }
    if options.recover:
        reply |= {"was_recovering": True, "recovered": start.missed is not None}
    if start.missed:
        reply["publications"] = start.missed
    return reply


def _fitting(entries: list[Entry]) -> list[Entry]:
    """As many as one reply may hold, and one at least; the client reads on from there."""
    size = 0
    for index, entry in enumerate(entries):
        size += len(entry.body)
        if index and size > realtime_settings.RECOVERY_MAX_BYTES:
            return entries[:index]
    return entries


def _answer_to(error: RealtimeError) -> Exception:
    """What a client is told about a credential: expired ones can be replaced on the same socket."""
    if not isinstance(error, AuthenticationError):
        return CloseSession(CloseCode.INTERNAL)
    if error.error.code == Error.TOKEN_EXPIRED.code:
        return CommandError(Error.TOKEN_EXPIRED)
    return CloseSession(CloseCode.INVALID_TOKEN, error.reason)

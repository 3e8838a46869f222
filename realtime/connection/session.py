"""One connection: who it is, and what it is joined to. Long, because it is one state machine."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any, ClassVar

import msgspec

from .. import signals
from ..authentication import ANONYMOUS, Identity, profiles
from ..changes import changes
from ..codes import CloseCode, Error, UnsubscribeCode
from ..conf import realtime_settings
from ..exceptions import RealtimeError
from ..hub.node import Node
from ..layers.records import Connection
from ..metrics import metrics
from ..protocols.base import Reply, WireProtocol
from ..protocols.frames import Frame
from ..protocols.requests import CommandError
from ..rights.grants import Answer, Grant
from ..rooms.publications import ClientInfo
from . import events
from .ports import Late, Transport
from .subscriptions import Subscriptions, is_outdated
from .timers import Timers

# The code that ends a connection with one room, when it is taken out of that room.
CLOSE_CODES = {
    UnsubscribeCode.BY_SERVER: CloseCode.FORCED,
    UnsubscribeCode.INSUFFICIENT_STATE: CloseCode.INSUFFICIENT_STATE,
    UnsubscribeCode.EXPIRED: CloseCode.EXPIRED,
    UnsubscribeCode.STATE_INVALIDATED: CloseCode.STATE_INVALIDATED,
}


class State(Enum):
    """A session is opened, connects, and is closed once."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"


class Session:
    """The state machine of one connection.

    `identity` and `authentication_error` are what the middleware found in the scope; a token in the
    `connect` command may take their place.
    """

    __slots__ = (
        "_held_back",
        "_info",
        "_is_counted",
        "_shutting_down",
        "address",
        "app",
        "authentication_error",
        "deliver",
        "errors_in_a_row",
        "id",
        "identity",
        "late_rooms",
        "node",
        "opened_at",
        "pending",
        "protocol",
        "server_rooms",
        "state",
        "subscriptions",
        "timers",
        "transport",
    )

    own_handlers: ClassVar[Mapping[str, Callable[[Any, Any], Awaitable[Reply | None]]]] = {}
    """The commands that this kind of session carries out by itself."""

    def __init__(
        self,
        *,
        transport: Transport,
        protocol: WireProtocol,
        node: Node,
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
        self.node = node
        self.identity = identity
        self.authentication_error = authentication_error
        self.subscriptions = Subscriptions()
        self.timers = Timers(self)
        self.deliver: Callable[[Frame], None] = transport.write
        """Called by the hub, with a push as this session's protocol encodes it."""
        self.pending = 0
        """How many commands were begun and are not answered yet."""
        self.errors_in_a_row = 0
        self.late_rooms: Late | None = None
        """The rooms of its `connect` that it enters later."""
        self.server_rooms: frozenset[str] = frozenset()
        """The rooms that it was put into, and has not subscribed to itself."""
        self._held_back: list[Frame] | None = None
        self._shutting_down = False
        self._is_counted = False
        self._info: tuple[Identity, bytes | None] | None = None

    def open(self) -> None:
        """Start the clock for the `connect` command."""
        metrics.connections_opened += 1
        self.timers.expect_connect()
        if self.identity is None:
            self._is_counted = True
            if not self.node.unauthenticated.enter(self.address):
                self.close(CloseCode.TOO_MANY_REQUESTS)

    def begin(self) -> None:
        """It is connected."""
        self.state = State.CONNECTED
        self.timers.on_connect()
        self._leave_unauthenticated()
        self.node.registry.enter(self)
        events.send(signals.connected, self)
        self.timers.watch_expiry()
        if self.pings:
            self.timers.start_pings()

    @property
    def pings(self) -> bool:
        """Return whether it is for this session to ping the client."""
        return self.protocol.has_pings

    def reset(self, given: Identity | None) -> None:
        """It was not let in: it stays as it was, and may ask again."""
        self._held_back = []
        self.release()
        self.node.reviewer.dismiss(self)
        self.identity = given

    def shut_down(self) -> None:
        """Close because the server stops; commands that were begun are answered first."""
        self._shutting_down = True
        self._close_if_done()

    def close(self, code: CloseCode, reason: str = "") -> None:
        """End the connection with a code of the protocol. Does nothing the second time."""
        if self.is_closed:
            return
        metrics.closed[str(int(code))] += 1
        reason = reason or code.reason
        self.end(code)
        self.transport.close(code, reason, self.protocol.encode_disconnect(code, reason))

    def end(self, code: CloseCode | None = None) -> None:
        """Leave nothing behind: no room, no clock. Called also when the socket has gone."""
        was_connected, self.state = self.state is State.CONNECTED, State.CLOSED
        self.deliver = _drop
        self.timers.stop()
        self._leave_unauthenticated()
        self.node.reviewer.dismiss(self)
        self.node.registry.leave(self.id)
        if self.late_rooms is not None:
            self.late_rooms.stop()
        self.leave_all()
        if was_connected:
            events.send(signals.disconnected, self, code=None if code is None else int(code))

    @property
    def is_connecting(self) -> bool:
        return self.state is State.CONNECTING

    @property
    def is_closed(self) -> bool:
        return self.state is State.CLOSED

    # Commands and their answers

    @property
    def is_busy(self) -> bool:
        """Return whether a command was begun and is not answered."""
        return self.pending > 0

    def finish(self) -> None:
        """A command that was begun is answered."""
        self.pending -= 1
        self._close_if_done()

    def on_pong(self) -> bool:
        """The client has sent a pong. Return whether there was a ping to answer."""
        if not self.transport.acknowledge():
            return False
        self.errors_in_a_row = 0
        self.timers.on_pong()
        return True

    def send_ping(self) -> None:
        self.write(self.protocol.ping)

    def refuse_when_congested(self) -> None:
        """A client that does not read what it has asked for gets no more of it."""
        if self.transport.is_congested:
            raise CommandError(Error.TOO_MANY_REQUESTS)

    def write(self, frame: Frame) -> None:
        if self.state is not State.CLOSED:
            self.transport.write(frame)

    def hold_back(self) -> None:
        """Hold back what rooms send from now on, until the next reply."""
        self._held_back = []
        self.deliver = self._held_back.append

    def release(self) -> None:
        """Send what was held back."""
        if self._held_back is None:
            return
        held_back, self._held_back = self._held_back, None
        if self.state is not State.CLOSED:
            self.deliver = self.transport.write
            for frame in held_back:
                self.write(frame)

    def _close_if_done(self) -> None:
        if self._shutting_down and not self.pending:
            self.close(CloseCode.SHUTDOWN)

    def _leave_unauthenticated(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self.node.unauthenticated.leave(self.address)

    # Its identity

    @property
    def caller(self) -> Identity:
        """The identity, or the anonymous one as long as there is none."""
        return self.identity or ANONYMOUS

    @property
    def user_id(self) -> str:
        return "" if self.identity is None else self.identity.user_id

    @property
    def sign_in(self) -> str:
        """The sign-in that the credential comes from: the `sid` claim of its token."""
        return self.caller.session_id

    @property
    def session_key(self) -> str:
        """The key of its Django session, if that is its credential."""
        return self.caller.session_key

    @property
    def expires_at(self) -> float | None:
        return self.caller.expires_at

    @property
    def expiry_grace_seconds(self) -> float:
        """A client without pings has no way to bring a newer token."""
        return float(realtime_settings.EXPIRY_GRACE_SECONDS) if self.protocol.has_pings else 0

    @property
    def is_stale(self) -> bool:
        """Return whether something of the user has changed since it was read."""
        return bool(self.user_id) and changes.is_stale(self.caller.version, self.user_id)

    def client_info(self) -> bytes | None:
        """What others see of the publisher, a `ClientInfo` as JSON; None for an anonymous user.

        It is as of the last `learn_info`.
        """
        return None if self._info is None else self._info[1]

    @property
    def knows_info(self) -> bool:
        """Return whether `client_info` is that of the identity as it is now."""
        return self._info is not None and self._info[0] is self.identity

    async def learn_info(self) -> None:
        """Ask what others see of the user, if that is not known. Raises `HookUnavailable`."""
        identity = self.caller
        if self.knows_info:
            return
        encoded = None
        if not identity.user.is_anonymous:
            info = await profiles.public_info(identity.user)
            encoded = msgspec.json.encode(ClientInfo(identity.user_id, self.id, info))
        self._info = (identity, encoded)

    @property
    def unsent_bytes(self) -> int:
        return self.transport.unsent_bytes

    def describe(self, process: str) -> Connection:
        """The record of this connection in the list of all connections."""
        user = self.caller.user
        return Connection(
            client=self.id,
            user=self.user_id,
            username=profiles.username(user),
            label=profiles.label(user),
            since=self.opened_at,
            address=self.address,
            app=self.app,
            protocol=self.protocol.name,
            sign_in=self.sign_in,
            expires_at=self.expires_at,
            rooms=sorted(self.rooms),
            unsent_bytes=self.unsent_bytes,
            process=process,
        )

    # Its rooms

    @property
    def rooms(self) -> dict[str, Grant]:
        """The rooms that it is in, and what it may do in each."""
        return self.subscriptions.rooms

    def hold(self, name: str, grant: Grant) -> None:
        """It is in the room by this grant, which is looked at again when it ends."""
        self.subscriptions.hold(name, grant)
        self.node.reviewer.look_again_at(self, name, grant.until)
        if is_outdated(grant, self.user_id, name):
            self.node.reviewer.look_at([self], name)

    def leave(self, name: str) -> bool:
        """Leave a room. Return whether the connection was in it."""
        if not self.subscriptions.drop(name):
            return False
        self.drop_token(name)
        self.node.hub.leave(name, self)
        self.node.presence.leave(name, self.id)
        self.node.registry.update(self)
        events.send(signals.left, self, room=name)
        return True

    def leave_all(self) -> None:
        for name in list(self.rooms):
            self.leave(name)

    def unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> None:
        """End a subscription from the server's side, and tell the client."""
        if not self.leave(room):
            return
        if self.protocol.has_one_room:
            self.close(CLOSE_CODES[code], reason)
        else:
            self.deliver(self.protocol.encode_unsubscribe(room, code, reason))

    # What comes from elsewhere

    def accept_review(self, answer: Answer, version: int) -> None:
        """Take over the rights as they were at `version`, and end what is not allowed any more."""
        if self.state is State.CLOSED or self.identity is None:
            return
        if answer.user is None:
            self.close(CloseCode.INVALID_TOKEN, "the user may not be connected any more")
            return
        if version < 0 or version >= self.identity.version:
            self.identity = replace(self.identity, user=answer.user, version=version)
        for name, (held, grant) in self.subscriptions.newer(answer.grants, version).items():
            if self.is_closed:
                return
            if grant.actions != held.actions:
                self.node.reviewer.tell_soon([self])
            if "join" in grant.actions:
                self.hold(name, grant)
            else:
                self._lose(name, held)
        self.resume(
            name for name in answer.grants if not changes.is_stale(version, self.user_id, name)
        )

    def suspend(self, rooms: Iterable[str]) -> None:
        """Get nothing of these rooms until it is clear whether it may."""
        for name in rooms:
            self.node.hub.suspend(name, self)

    def fall_behind(self) -> None:
        """It gets messages of a room later than what was published after them in other rooms. That
        matters where the client knows one position for all its rooms."""

    def resume(self, rooms: Iterable[str]) -> None:
        """Get what was kept in the meantime."""
        for name in list(rooms):
            self.node.hub.resume(name, self)

    def _lose(self, name: str, held: Grant) -> None:
        until = self.caller.granted_until(name)
        if self.protocol.has_one_room:
            self.close(CloseCode.PERMISSION_DENIED)
        elif held.by_token and until is not None and until <= time.monotonic():
            self.unsubscribe(name, UnsubscribeCode.EXPIRED, "the subscription token has expired")
        else:
            reason = "you may not be in this room any more"
            self.unsubscribe(name, UnsubscribeCode.BY_SERVER, reason)

    def keep_token(self, name: str, until: float) -> None:
        """A subscription token lets it into a room, until a moment on the monotonic clock."""
        granted = {**(self.caller.granted or {}), name: until}
        self.identity = replace(self.caller, granted=granted)

    def drop_token(self, name: str) -> bool:
        """Forget the subscription token for a room. Return whether there was one."""
        if self.caller.granted_until(name) is None:
            return False
        granted = {
            room: until for room, until in (self.caller.granted or {}).items() if room != name
        }
        self.identity = replace(self.caller, granted=granted or None)
        return True

    def accept_password(self, digest: str) -> None:
        """The password with this digest was set by this connection's own sign-in."""
        self.identity = replace(self.caller, own_password=digest)

    def rename_sign_in(self, sign_in: str, session_key: str) -> None:
        """The sign-in goes on, and is called `sign_in` from now on."""
        self.identity = replace(self.caller, session_id=sign_in, session_key=session_key)

    def tell_of_rights(self) -> None:
        """Tell the client that its rights may have changed, here or elsewhere."""
        if self.state is State.CONNECTED:
            self.deliver(self.protocol.encode_rights())

    def show_notice(self, text: str) -> None:
        """Show the person a text of an administrator."""
        if self.state is State.CONNECTED:
            self.deliver(self.protocol.encode_notice(text))


def _drop(frame: Frame) -> None:
    """Takes the pushes of a session that is closed."""

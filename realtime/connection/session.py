"""One connection: who it is, what it may do, what it is joined to. Knows no sockets."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import replace
from enum import Enum
from typing import Any

import msgspec

from ..authentication import ANONYMOUS, Identity, profiles
from ..changes import changes
from ..codes import CloseCode, Error, UnsubscribeCode
from ..conf import realtime_settings
from ..exceptions import RealtimeError
from ..hub.hub import Hub
from ..protocols.base import Reply, WireProtocol
from ..protocols.requests import Command, CommandError, MalformedCommand
from ..rights import grants
from ..rights.grants import Grant
from ..rooms.publications import ClientInfo
from .dispatcher import Dispatcher
from .ports import Transport
from .publisher import Publisher
from .subscriptions import Subscriptions
from .timers import Timers

# What ends a connection that is of no use without the room it was taken out of.
_CLOSE_CODES = {
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
        "_at_the_door",
        "_before_reply",
        "_errors_in_a_row",
        "_info",
        "_shutting_down",
        "address",
        "app",
        "authentication_error",
        "deliver",
        "dispatcher",
        "hub",
        "id",
        "identity",
        "opened_at",
        "protocol",
        "publisher",
        "state",
        "subscriptions",
        "timers",
        "transport",
    )

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
        self.subscriptions = Subscriptions(self)
        self.publisher = Publisher(self)
        self.dispatcher = Dispatcher(self)
        self.timers = Timers(self)
        self.deliver: Callable[[str], None] = transport.write
        """Called by the hub, with a push as this session's protocol encodes it."""
        self._before_reply: list[str] | None = None
        self._shutting_down = False
        self.authentication_error = authentication_error
        self._errors_in_a_row = 0
        self._at_the_door = False
        self._info: tuple[Identity | None, bytes | None] | None = None

    def open(self) -> None:
        """Start the clock for the `connect` command."""
        self.timers.expect_connect()
        if self.identity is None:
            self._at_the_door = True
            if not self.hub.doorway.enter(self.address):
                self.close(CloseCode.TOO_MANY_REQUESTS)

    def shut_down(self) -> None:
        """Close because the server goes; a command that is under way is answered first."""
        self._shutting_down = True
        self.go_if_done()

    def go_if_done(self) -> None:
        """Close where the server goes and nothing is left to be answered."""
        if self._shutting_down and not self.is_busy and not self.publisher.in_flight:
            self.close(CloseCode.SHUTDOWN)

    def close(self, code: CloseCode, reason: str = "") -> None:
        """End the connection with a code of the protocol. Does nothing the second time."""
        if self.is_closed:
            return
        reason = reason or code.reason
        self.write(self.protocol.encode_disconnect(code, reason))
        self.end()
        self.transport.close(code, reason)

    def end(self) -> None:
        """Leave everything behind tidy: no room, no clock. Called also when the socket has gone."""
        self.state = State.CLOSED
        self.deliver = _drop
        self.timers.stop()
        self._leave_the_door()
        self.hub.reviewer.dismiss(self)
        self.hub.registry.leave(self.id)
        self.subscriptions.leave_all()

    @property
    def is_connecting(self) -> bool:
        return self.state is State.CONNECTING

    @property
    def is_closed(self) -> bool:
        return self.state is State.CLOSED

    @property
    def is_busy(self) -> bool:
        """Whether a command is under way."""
        return self.dispatcher.is_busy

    @property
    def rooms(self) -> dict[str, Grant]:
        """The rooms that it is in, and what it may do there."""
        return self.subscriptions.rooms

    # Commands and their answers

    def receive(self, text: str | None) -> Coroutine[Any, Any, None] | None:
        """Obey the commands of one frame, in order; None is a frame that is not text. What is
        returned has to be awaited before the next one: something in it takes its time."""
        if self.state is State.CLOSED:
            return None  # what comes after our close, until the client answers it
        if text is None:
            self.close(CloseCode.BAD_REQUEST, "text frames only")
        elif len(text) > realtime_settings.FRAME_MAX_BYTES:
            self.close(CloseCode.BAD_REQUEST, "the frame is too large")
        else:
            return self.dispatcher.receive(text)
        return None

    def run(self, command: Command | MalformedCommand) -> Coroutine[Any, Any, Error | None]:
        """Obey one command and write its reply. Returns the error that it was answered with."""
        return self.dispatcher.run(command)

    def on_pong(self) -> None:
        """The client has answered a ping."""
        self._errors_in_a_row = 0
        self.timers.on_pong()
        self.transport.acknowledge()

    def refuse_when_congested(self) -> None:
        """A client that does not read what it has asked for gets no more of it."""
        if self.transport.is_congested:
            raise CommandError(Error.TOO_MANY_REQUESTS)

    def reply(self, command: Command, result: Reply | None) -> None:
        """Answer a command that was obeyed. Where `result` is None nothing is said."""
        self._errors_in_a_row = 0
        if result is None:
            return
        for frame in self.protocol.encode_reply(command, result):
            self.write(frame)
        if self._before_reply is not None:
            self._let_go()

    def acknowledge(self, command: Command) -> None:
        """Answer a command that was obeyed and has no result, together with what else the client
        gets in this moment."""
        self._errors_in_a_row = 0
        if self.state is not State.CLOSED:
            for frame in self.protocol.encode_reply(command, {}):
                self.transport.write_along(frame)
                self.hub.tail.add(self.transport.flush)

    def refuse(self, command: int, error: Error) -> None:
        """Answer the command with this `id`, which could not be obeyed."""
        self.write(self.protocol.encode_error(command, error))
        if error.code == Error.BAD_REQUEST.code:
            self._errors_in_a_row += 1
            if self._errors_in_a_row >= realtime_settings.ERRORS_IN_A_ROW:
                self.close(CloseCode.TOO_MANY_ERRORS)

    def write(self, frame: str) -> None:
        if frame and self.state is not State.CLOSED:
            self.transport.write(frame)

    # Connecting

    def hold_back(self) -> None:
        """What rooms send from now on waits for the next reply."""
        self._before_reply = []
        self.deliver = self._before_reply.append

    def _let_go(self) -> None:
        waiting, self._before_reply = self._before_reply, None
        if self.state is not State.CLOSED:
            self.deliver = self.transport.write
            for frame in waiting or ():
                self.write(frame)

    def begin(self) -> None:
        """It is connected."""
        self.state = State.CONNECTED
        self.timers.on_connect()
        self._leave_the_door()
        self.hub.registry.enter(self)
        self.timers.watch_expiry()
        if self.protocol.has_pings:
            self.timers.start_pings()

    def not_let_in(self, given: Identity | None) -> None:
        """It stays as it was, and may ask again."""
        self._before_reply = []
        self._let_go()
        self.hub.reviewer.dismiss(self)
        self.identity = given

    def _leave_the_door(self) -> None:
        if self._at_the_door:
            self._at_the_door = False
            self.hub.doorway.leave(self.address)

    # Who it is

    @property
    def caller(self) -> Identity:
        """Who speaks: the identity, or nobody in particular as long as there is none."""
        return self.identity or ANONYMOUS

    @property
    def user_id(self) -> str:
        return "" if self.identity is None else self.identity.user_id

    @property
    def sign_in(self) -> str:
        """Which sign-in the credential comes from: the `sid` claim of its token."""
        return self.caller.session_id

    @property
    def is_stale(self) -> bool:
        """Whether something of the user has changed since it was looked up. Of nobody in particular
        nothing changes."""
        return bool(self.user_id) and changes.since(self.caller.version, self.user_id)

    def client_info(self) -> bytes | None:
        """What others see of who publishes here, a `ClientInfo` as JSON; None for nobody in
        particular."""
        info = self._info
        if info is None or info[0] is not self.identity:
            info = self._info = (self.identity, self._make_client_info(self.caller))
        return info[1]

    def _make_client_info(self, identity: Identity) -> bytes | None:
        if identity.user.is_anonymous:
            return None
        info = profiles.public_info(identity.user)
        return msgspec.json.encode(ClientInfo(identity.user_id, self.id, info))

    # What comes from elsewhere

    def unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> None:
        """End a subscription from the server's side, and tell the client."""
        if not self.subscriptions.leave(room):
            return
        if self.protocol.has_one_room:
            self.close(_CLOSE_CODES[code], reason)
        else:
            self.deliver(self.protocol.encode_unsubscribe(room, code, reason))

    def accept_review(self, answer: grants.Answer, version: int) -> None:
        """Take the rights as they were at `version`: end what is not allowed any more."""
        if self.state is State.CLOSED or self.identity is None:
            return
        if answer.user is None:
            self.close(CloseCode.INVALID_TOKEN, "the user may not be connected any more")
            return
        self.identity = replace(self.identity, user=answer.user, version=version)
        self.subscriptions.accept(answer.grants, version)

    def accept_password(self, digest: str) -> None:
        """The password that `digest` tells was set by this connection's own sign-in."""
        self.identity = replace(self.caller, own_password=digest)

    def rename_sign_in(self, sign_in: str) -> None:
        """The sign-in goes on, and is called `sign_in` from now on."""
        self.identity = replace(self.caller, session_id=sign_in)

    def tell_of_rights(self) -> None:
        """Tell the client that what it may do has perhaps changed, here or elsewhere."""
        if self.state is State.CONNECTED:
            self.deliver(self.protocol.encode_rights())

    def show_notice(self, text: str) -> None:
        """Show the person a text of an administrator."""
        if self.state is State.CONNECTED:
            self.deliver(self.protocol.encode_notice(text))


def _drop(frame: str) -> None:
    """Where the pushes of a session go that is closed."""

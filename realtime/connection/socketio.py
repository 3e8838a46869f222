"""Sessions of Socket.IO's clients, and the recovery of their state.

A session that ends is kept for a while, under the `pid` that only its client knows. If the client
comes back, to whichever process, it enters the same rooms where it was in each: all of them, or
none. It is authenticated and authorised again.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, Protocol
from weakref import WeakKeyDictionary

import msgspec

from ..codes import CloseCode
from ..conf import realtime_settings
from ..exceptions import LayerUnavailable, RealtimeError
from ..hub.node import Node, get_node
from ..protocols import requests
from ..protocols.base import Reply
from ..protocols.requests import CloseSession, CommandError
from ..protocols.requests import SubscribeOptions as Options
from ..protocols.socketio import SocketIOProtocol
from ..protocols.socketio_connect import SocketConnect
from ..protocols.socketio_positions import Journal, Record, record
from ..rights import grants
from ..rights.grants import Grant
from ..rooms.publications import Position, retention
from ..server_api.connections import adisconnect
from . import admission
from .allowance import charge
from .batches import Budget
from .joining import enter
from .ports import Transport
from .refusal_log import log_refusal
from .session import Session

logger = logging.getLogger("realtime.socketio")

KEPT_SECONDS = 120
"""A session is kept at least so long."""
PAUSES_SECONDS = (0.02, 0.05, 0.1, 0.25, 0.6)
"""The process of an earlier session gets so much time to end it."""
_PID = re.compile(r"([0-9a-f-]{36})\.[A-Za-z0-9_-]{16}\Z", re.ASCII)

_decode_record = msgspec.json.Decoder(Record).decode
Handler = Callable[[Session, Any], Awaitable[Reply | None]]
_journals: WeakKeyDictionary[Node, Journal] = WeakKeyDictionary()


def new_protocol() -> SocketIOProtocol:
    """The protocol of a new connection."""
    node = get_node()
    journal = _journals.get(node)
    if journal is None:
        journal = _journals[node] = Journal()
    return SocketIOProtocol(journal)


async def connect(session: Session, body: SocketConnect) -> Reply:
    """The connect of a namespace. It enters the rooms of the session before, if there is one, those
    that events are mapped to, and those in which the user always is."""
    assert isinstance(session, SocketIOSession)
    enter_rooms = partial(_enter_rooms, session, body)
    return await admission.connect(session, requests.Connect(token=body.token), enter_rooms)


async def _enter_rooms(
    session: SocketIOSession, body: SocketConnect, _: Session, wanted: Mapping[str, Options]
) -> tuple[dict[str, Reply], dict[str, Options]]:
    """Return what can't be entered now. What was entered, the client knows already."""
    mapped = dict.fromkeys(realtime_settings.SOCKETIO_EVENTS.values(), Options())
    others = {**wanted, **mapped}
    try:
        late = await _recover(session, body, others) if body.recovery and body.pid else None
        if late is None:
            if body.recovery:
                session.protocol.pid = f"{session.id}.{secrets.token_urlsafe(12)}"
            late = (await _enter(session, others))[1]
    except BaseException as error:
        _leave_all(session)
        if isinstance(error, RealtimeError | CommandError) and error.error.temporary:
            # Its client comes back by itself after a close, and not after an error.
            raise CloseSession(CloseCode.INTERNAL) from error
        raise
    return {}, late


async def _recover(
    session: SocketIOSession, body: SocketConnect, others: Mapping[str, Options]
) -> dict[str, Options] | None:
    """Take up the session with the client's `pid`: with all its rooms, and everything that was
    published in them. Return the other rooms that can't be entered now; None if the client has to
    start again, in no room."""
    pid = body.pid or ""
    found = await _take(session, pid)
    if found is None or found.user != session.user_id:
        return None
    positions = found.positions(body.offset)
    if positions is None:
        return None
    wanted = {name: _from(position) for name, position in positions.items()}
    wanted |= {name: options for name, options in others.items() if name not in wanted}
    entered, late = await _enter(session, wanted)
    if all(entered.get(name) for name in positions):
        session.protocol.pid = pid
        return late
    _leave_all(session)
    session.hold_back()
    return None


def _leave_all(session: SocketIOSession) -> None:
    session.leave_all()
    session.protocol.leave_all()


def _from(position: Position) -> Options:
    return Options(recover=True, epoch=position.epoch, offset=position.offset)


async def _take(session: SocketIOSession, pid: str) -> Record | None:
    """Take what was kept of an earlier session. If it goes on, because nobody has noticed that its
    client is gone, it is ended."""
    form = _PID.match(pid)
    if form is None:
        return None
    kept = await session.node.layer.redeem_ticket(_key(pid))
    if kept is None and session.user_id:
        user, code = session.user_id, CloseCode.STATE_INVALIDATED
        await adisconnect(user, client=form[1], code=code, on_commit=False)
        for pause in PAUSES_SECONDS:
            await asyncio.sleep(pause)
            kept = await session.node.layer.redeem_ticket(_key(pid))
            if kept is not None:
                break
    try:
        return None if kept is None else _decode_record(kept)
    except msgspec.MsgspecError:
        return None  # of another version of this app


async def _enter(
    session: SocketIOSession, wanted: Mapping[str, Options]
) -> tuple[dict[str, bool], dict[str, Options]]:
    """Enter rooms one after the other. Return those that were entered, and whether the client gets
    everything that it has missed there; and those that can't be entered now, but perhaps later.

    What was missed is written at the moment of entering, so that the numbers of the events grow.
    """
    entered: dict[str, bool] = {}
    late: dict[str, Options] = {}
    budget = Budget(realtime_settings.RECOVERY_MAX_BYTES)
    if wanted:
        charge(session, len(wanted))
        await grants.prepare(session.caller, wanted)
    for name, options in wanted.items():
        if session.is_closed:
            raise CloseSession(CloseCode.NORMAL)  # nobody waits for the rest
        try:
            reply = await enter(session, name, options, budget=budget)
        except (CommandError, RealtimeError) as refused:
            if refused.error.temporary:
                late[name] = options
            elif isinstance(refused, CommandError):
                log_refusal(session, "subscribe", name, refused.error)
            continue
        entered[name] = reply.get("recovered", False)
        missed = session.protocol.enter(name, reply)
        for frame in (session.protocol.joined_event(name, reply), *missed):
            session.deliver(frame)
    return entered, late


def _kept_seconds(held: Iterable[Grant]) -> int:
    """As long as what the rooms keep, and then some: a client that comes later learns that it has
    missed something."""
    kept = [retention(grant.room).ttl_seconds for grant in held if grant.room is not None]
    return max([KEPT_SECONDS, *kept])


async def _keep(node: Node, pid: str, kept: bytes, seconds: int) -> None:
    try:
        await node.layer.astore_ticket(_key(pid), kept, seconds)
    except LayerUnavailable as error:
        logger.info("a session is not kept, its client will start again: %s", error)


def _key(pid: str) -> str:
    return f"socketio/{pid}"


def is_final(code: CloseCode) -> bool:
    """Return whether a client does not come back after this code."""
    return code is CloseCode.NORMAL or code >= 3500


class Branch(Transport, Protocol):
    """The part of a connection that a namespace writes to."""

    def may_ping(self, session: SocketIOSession) -> bool:
        """Return whether this session is the one that pings the client."""
        ...


class SocketIOSession(Session):
    """A session that its client may take up again."""

    __slots__ = ("_is_final",)

    transport: Branch

    own_handlers: ClassVar[Mapping[str, Handler]] = {"connect": connect}
    protocol: SocketIOProtocol

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._is_final = False

    @property
    def pings(self) -> bool:
        return self.transport.may_ping(self)

    def fall_behind(self) -> None:
        # Its last message does not say any more what it has got in each room: nothing is recovered.
        self.protocol.pid = ""

    def close(self, code: CloseCode, reason: str = "") -> None:
        # One that was ended for good, or by the client itself, is not taken up again.
        self._is_final = self._is_final or is_final(code)
        super().close(code, reason)

    def end(self, code: CloseCode | None = None) -> None:
        kept = self._what_is_kept()
        super().end(code)
        self.protocol.leave_all()
        if kept is not None:
            self.node.finish_later(_keep(self.node, *kept))

    def _what_is_kept(self) -> tuple[str, bytes, int] | None:
        pid, protocol = self.protocol.pid, self.protocol
        if self.is_closed or self._is_final or not pid:
            return None
        joined = [(name, each) for name, each in protocol.joined.items() if name in self.rooms]
        made = record(self.user_id, protocol.journal, joined)
        return pid, msgspec.json.encode(made), _kept_seconds(self.rooms.values())

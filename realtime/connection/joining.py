"""Entering rooms: the right to, the position in the stream, and what was missed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from .. import signals
from ..changes import changes
from ..codes import CloseCode, Error
from ..conf import realtime_settings
from ..exceptions import RealtimeError
from ..hub.feed import JoinPoint
from ..hub.hub import Entering
from ..layers.records import Member
from ..metrics import metrics
from ..protocols.base import Reply
from ..protocols.requests import CloseSession, CommandError, SubscribeOptions
from ..rights import grants
from ..rights.grants import Grant
from ..rooms.finding import AnyRoom
from ..rooms.publications import Position, Publication, Retention, retention
from ..rooms.room_types import find_in_code
from . import events, states
from .allowance import charge_refusal
from .batches import Budget, Turn, parts, turns
from .refusal_log import log_refusal
from .session import Session
from .subscriptions import is_outdated

_TRIES = 10

_NO_FILTERS = Error(Error.NOT_AVAILABLE.code, "not available: filters by tags")
_NO_TYPES = Error(Error.NOT_AVAILABLE.code, "not available: map and shared poll subscriptions")


async def enter(
    session: Session,
    name: str,
    options: SubscribeOptions,
    turn: Turn | None = None,
    budget: Budget | None = None,
) -> Reply:
    """Enter a room, and return the reply to the client. With a `turn`, everything is looked up
    before it. Raises `CommandError`, `CloseSession` and `LayerUnavailable`."""
    _refuse_what_is_not_available(options)
    _refuse_what_is_too_much(session, name, options)
    for _ in range(_TRIES):
        version = changes.version
        grant, room = await _may_join(session, name, turn)
        if room.presence:
            await session.learn_info()
        changed_at = -1.0
        if options.recover:
            changed_at = await session.node.last_changes.of(session.user_id, name)
        since = options.since if budget is None or budget.left > 0 else None
        async with session.node.hub.entering(name, since) as entry:
            # After the position was read: what is published from now on follows the state.
            state = await states.compute(session, room, turn)
            if turn is not None:
                await turn.wait()
            _refuse_what_is_too_much(session, name, options)
            # What follows is one step of the loop: no change and no publication comes between.
            point = entry.point()
            if point is None or (version >= 0 and changes.is_stale(version, session.user_id, name)):
                continue
            late = [] if state is None else entry.late()
            if late is None:
                continue
            point = _without_time_shut_out(point, changed_at)
            if budget is not None:
                if state is not None and not budget.take(len(bytes(state))):
                    raise states.StateLater(f"the state of {name!r} does not fit in")
                if not budget.take(point.missed_bytes):
                    point = JoinPoint(point.position)
            reply = _enter_now(session, entry, name, options, grant, room, point)
            if state is not None:
                _add_state(reply, state, entry.began_at, _theirs(session, late))
            return reply
    raise CommandError(Error.TOO_MANY_REQUESTS)


async def enter_all(
    session: Session, wanted: Mapping[str, SubscribeOptions]
) -> tuple[dict[str, Reply], dict[str, SubscribeOptions]]:
    """Enter the rooms of a `connect`. Return the reply for each, and those that can't be entered
    now, but perhaps later.

    Rooms that the user may not enter are left out. If it fails otherwise, no room is entered.
    Together they recover as much as one reply may hold; the others get `recovered: false`.
    """
    replies: dict[str, Reply] = {}
    late = {}
    budget = Budget(realtime_settings.RECOVERY_MAX_BYTES)
    try:
        await grants.prepare(session.caller, wanted)
        for part in parts(wanted.items(), options=itemgetter(1)):
            if session.is_closed:
                raise CloseSession(CloseCode.NORMAL)  # nobody waits for the rest
            entering = [
                _enter_if_allowed(session, name, options, turn, budget)
                for (name, options), turn in zip(part, turns(len(part)), strict=True)
            ]
            # All have ended before one of them fails the others, or a room could be entered later.
            outcomes = await asyncio.gather(*entering, return_exceptions=True)
            for (name, options), outcome in zip(part, outcomes, strict=True):
                if isinstance(outcome, RealtimeError) and outcome.error.temporary:
                    late[name] = options
                elif isinstance(outcome, BaseException):
                    raise outcome
                elif outcome is not None:
                    replies[name] = outcome
    except BaseException:
        session.leave_all()
        raise
    return replies, late


async def _enter_if_allowed(
    session: Session, name: str, options: SubscribeOptions, turn: Turn, budget: Budget
) -> Reply | None:
    try:
        reply = await enter(session, name, options, turn, budget)
        if not reply.get("recovered"):
            # In the reply to a connect, the SDKs read the publications of recovered rooms only.
            for late in reply.pop("publications", ()):
                session.deliver(session.protocol.encode_publication(name, late))
        return reply
    except states.NoState:
        return None  # a broken hook of one room must not keep the client out of all others
    except CommandError as refused:
        if refused.error.temporary:
            raise
        log_refusal(session, "subscribe", name, refused.error)
        return None
    finally:
        turn.end()


async def _may_join(session: Session, name: str, turn: Turn | None) -> tuple[Grant, AnyRoom]:
    if turn is None or find_in_code(name) is None:
        return await require(session, "join", name)
    async with turn.rules:  # each rule of a site takes a thread
        return await require(session, "join", name)


async def require(session: Session, action: str, name: str) -> tuple[Grant, AnyRoom]:
    """The grant of a connection in a room, if it allows `action`. Raises `CommandError`, the same
    for a room that may not be entered and for one that does not exist, if no hook gives another."""
    grant = session.rooms.get(name)
    is_known = grant is not None and not is_outdated(grant, session.user_id, name)
    if grant is None or not is_known:
        grant = await grants.agrant(session.caller, name)
    if action not in grant.actions or grant.room is None:
        if not is_known:
            charge_refusal(session)
        raise CommandError((grant.errors or {}).get(action, Error.PERMISSION_DENIED))
    return grant, grant.room


def _refuse_what_is_not_available(options: SubscribeOptions) -> None:
    if options.tf is not None:
        raise CommandError(_NO_FILTERS)
    if options.type:
        raise CommandError(_NO_TYPES)


def _refuse_what_is_too_much(session: Session, name: str, options: SubscribeOptions) -> None:
    if name in session.rooms:
        if name not in session.server_rooms:
            raise CommandError(Error.ALREADY_SUBSCRIBED)
    elif len(session.rooms) >= realtime_settings.ROOMS_PER_CONNECTION:
        raise CommandError(Error.LIMIT_EXCEEDED)
    if options.recover:
        session.refuse_when_congested()


def _without_time_shut_out(point: JoinPoint, changed_at: float) -> JoinPoint:
    """Replay never shows a message from a time when the user was not allowed in.

    If rights were changed after the first missed message, the user may have been shut out for a
    while: then nothing is replayed, and the client is told `recovered: false`.
    """
    if point.missed and changed_at >= point.missed_since_ms:
        return JoinPoint(point.position)
    return point


def _enter_now(
    session: Session,
    entry: Entering,
    name: str,
    options: SubscribeOptions,
    grant: Grant,
    room: AnyRoom,
    point: JoinPoint,
) -> Reply:
    """Add the connection to the room. No publication comes before the reply."""
    if session.is_closed:
        raise CloseSession(CloseCode.NORMAL)
    if options.rejects_unrecovered and point.missed is None:
        raise CommandError(Error.UNRECOVERABLE_POSITION)
    if session.leave(name):  # a room of the server, which the client subscribes to itself now
        session.server_rooms -= {name}
    entry.add(session, watches=options.join_leave and room.presence)
    session.hold(name, grant)
    session.node.registry.update(session)
    events.send(signals.joined, session, room=name)
    info = session.client_info()
    if room.presence and info is not None:
        session.node.presence.enter(name, Member(session.id, session.user_id, info))
    return _subscribed(session, point, options, retention(room))


def _theirs(session: Session, publications: list[Publication]) -> list[Publication]:
    """Leave out what is not for this client."""
    return [each for each in publications if each.is_for(session.id, session.user_id)]


def _subscribed(
    session: Session, point: JoinPoint, options: SubscribeOptions, keep: Retention
) -> Reply:
    """The reply has the position at which the client is before the publications in it: it moves on
    with each that it handles. One that is interrupted at the first comes back for the second.

    What is not for the client lies behind it already.
    """
    reply: Reply = {"recoverable": keep.keeps, "positioned": True, "epoch": point.position.epoch}
    offset, missed = point.position.offset, point.missed
    if missed is not None:
        theirs = _theirs(session, missed)
        if len(theirs) == len(missed):
            offset = options.offset
        elif theirs:
            offset = theirs[0].offset - 1
        if theirs:
            reply["publications"] = theirs
    reply["offset"] = offset
    if options.recover:
        reply |= {"was_recovering": True, "recovered": missed is not None}
        metrics.recoveries["recovered" if missed is not None else "not recovered"] += 1
    return reply


def _add_state(reply: Reply, state: Any, began_at: Position, late: list[Publication]) -> None:
    """Add the state that was computed at `began_at`. What came `late`, while it was computed, comes
    as publications; a client that recovers has it among those that it missed."""
    reply["data"] = state
    if "publications" not in reply and reply["offset"] > began_at.offset:
        reply["offset"] = began_at.offset
        reply["publications"] = late

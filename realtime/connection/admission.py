"""Admission: the `connect` and `refresh` commands, credentials, and the connection limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from ..authentication import ANONYMOUS, Identity, verification
from ..codes import CloseCode, Error
from ..conf import realtime_settings
from ..exceptions import (
    AuthenticationError,
    AuthenticationUnavailable,
    LayerUnavailable,
    RealtimeError,
)
from ..names import personal_room
from ..protocols import requests
from ..protocols.base import Reply
from ..protocols.requests import CloseSession, CommandError, SubscribeOptions
from ..version import __version__
from .allowance import charge
from .joining import enter_all
from .late_rooms import LateRooms
from .server_rooms import server_rooms, with_server_rooms
from .session import Session

SECOND_LOOK_SECONDS = 0.5
APP_MAX = 64
TTL_MAX_SECONDS = 2**32 - 1
"""The largest number that the protocol has for it."""


EnterRooms = Callable[
    [Session, Mapping[str, SubscribeOptions]],
    Awaitable[tuple[dict[str, Reply], dict[str, SubscribeOptions]]],
]
"""What enters the rooms of a connect, as `enter_all` does."""


async def connect(
    session: Session, body: requests.Connect, enter_rooms: EnterRooms = enter_all
) -> Reply:
    """The first command of every connection."""
    if not session.is_connecting:
        raise CommandError(Error(Error.BAD_REQUEST.code, "bad request: already connected"))
    given = session.identity
    session.identity = await _identify(body.token or "", given, session.authentication_error)
    if not session.is_connecting:
        raise CloseSession(CloseCode.STALE)  # the socket was closed in the meantime
    session.app = " ".join((body.name[:APP_MAX], body.version[:APP_MAX])).strip()
    try:
        await _be_counted(session)
        _enroll(session)
        session.hold_back()
        most = realtime_settings.ROOMS_PER_CONNECTION
        asked = body.first_rooms(most)
        if asked:
            charge(session, len(asked))
        names = await server_rooms(session)
        session.server_rooms = frozenset(names)
        subs, late = await enter_rooms(session, with_server_rooms(names, asked, most))
    except BaseException:
        session.reset(given)
        raise
    if not session.is_connecting:
        raise CloseSession(CloseCode.STALE)  # the socket was closed in the meantime
    session.begin()
    if late:
        LateRooms(session, late)
    return _welcome(session, subs)


async def refresh(session: Session, body: requests.Refresh) -> Reply:
    """A newer token of the same user takes the place of the one that ends."""
    identity = await _identify_again(body.token or "", session.caller)
    if identity.scopes != session.caller.scopes:
        session.subscriptions.doubt()
    session.identity = replace(identity, granted=session.caller.granted)
    _enroll(session)
    session.node.reviewer.look_at([session])
    session.node.registry.update(session)
    session.timers.watch_expiry()
    return _who_and_until_when(session)


async def _identify(token: str, identity: Identity | None, error: RealtimeError | None) -> Identity:
    """The identity of `token`, or the one that the middleware found: one of them, not both.

    Raises `CloseSession`, or `CommandError` if a newer token may be sent on the same socket.
    """
    if token:
        return await _identify_by_token(token, identity)
    if error is not None and not _is_nobody(error):
        raise _answer_to(error)
    if identity is not None:
        return identity
    if realtime_settings.ALLOW_ANONYMOUS:
        return ANONYMOUS
    if error is not None:
        raise _answer_to(error)
    raise CloseSession(CloseCode.INVALID_TOKEN, "nobody is signed in, and no token was sent")


def _is_nobody(error: RealtimeError) -> bool:
    """Return whether a visitor has a session in which nobody is signed in, as over HTTP."""
    return error.ambient and isinstance(error, AuthenticationError)


async def _identify_by_token(token: str, identity: Identity | None) -> Identity:
    if identity is not None and not identity.ambient:
        raise CloseSession(CloseCode.INVALID_TOKEN, "two credentials at once are ambiguous")
    if "connect" not in realtime_settings.CREDENTIALS:
        raise CloseSession(CloseCode.INVALID_TOKEN, "a token in connect is not switched on")
    try:
        return await verification.authenticate(token)
    except (AuthenticationError, AuthenticationUnavailable) as error:
        raise _answer_to(error) from error


def _answer_to(error: RealtimeError) -> Exception:
    """The error for a credential: an expired one can be replaced on the same socket."""
    if not isinstance(error, AuthenticationError):
        return CloseSession(CloseCode.INTERNAL)
    if error.error.code == Error.TOKEN_EXPIRED.code:
        return CommandError(Error.TOKEN_EXPIRED)
    return CloseSession(CloseCode.INVALID_TOKEN, error.reason)


async def _identify_again(token: str, before: Identity) -> Identity:
    """The identity of a newer token of the same user. Raises as `_identify` does."""
    try:
        identity = await verification.authenticate(token)
    except AuthenticationError as error:
        if error.error.code != Error.TOKEN_EXPIRED.code:
            raise CloseSession(CloseCode.INVALID_TOKEN) from error
        # Temporary, or the SDKs would give the connection up rather than ask for a newer token.
        raise CommandError(Error(Error.TOKEN_EXPIRED.code, "token expired", True)) from error
    if identity.user_id != before.user_id:
        raise CloseSession(CloseCode.INVALID_TOKEN, "a refresh can't change the user")
    return identity


async def _be_counted(session: Session) -> None:
    """Count the connection. Raises `CloseSession` if the user has as many as are allowed."""
    registry = session.node.registry
    try:
        await session.node.control.hear()
        if await registry.admit(session.id, session.user_id):
            return
        # A connection that has just ended may still be counted, as when a page is reloaded.
        await asyncio.sleep(SECOND_LOOK_SECONDS)
        if await registry.admit(session.id, session.user_id):
            return
    except LayerUnavailable as error:
        raise CloseSession(CloseCode.INTERNAL) from error
    raise CloseSession(CloseCode.CONNECTION_LIMIT)


def _enroll(session: Session) -> None:
    try:
        session.node.control.enroll(session)
    except AuthenticationError as error:
        raise CloseSession(CloseCode.INVALID_TOKEN, error.reason) from error


def _welcome(session: Session, subs: Mapping[str, Reply]) -> Reply:
    reply = _who_and_until_when(session)
    if session.user_id:
        reply["data"] = {"user_room": personal_room(session.user_id)}
    if subs:
        reply["subs"] = subs
    if session.protocol.has_pings:
        reply |= {"ping": int(realtime_settings.PING_SECONDS) or 1, "pong": True}
    return reply


def _who_and_until_when(session: Session) -> Reply:
    reply: Reply = {"client": session.id, "version": f"realtime {__version__}"}
    expires_at = session.caller.expires_at
    if expires_at is None:
        return reply | {"expires": False}
    ttl = min(int(expires_at - time.time()), TTL_MAX_SECONDS)
    return reply | {"expires": True, "ttl": max(1, ttl)}

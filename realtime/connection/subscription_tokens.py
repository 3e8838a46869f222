"""Subscriptions by a token of the site, which lets a user into a room whatever the rules say."""

from __future__ import annotations

import time

from ..authentication import subscription_tokens
from ..changes import changes
from ..codes import Error
from ..exceptions import AuthenticationError
from ..names import grants_of, is_room_name
from ..protocols.base import Reply
from ..protocols.requests import CommandError, SubscribeOptions
from .allowance import charge_refusal
from .batches import Turn
from .joining import enter
from .session import Session

CLOCKS_SECONDS = 2.0
"""How far the clocks of machines may differ: so much later, a token is taken back as well."""
_TRIES = 10


async def enter_by(
    session: Session, name: str, token: str, options: SubscribeOptions, turn: Turn | None
) -> Reply:
    """Enter a room with a token. Raises as `enter` does: `CommandError` with "token expired" if the
    client should bring a newer token."""
    if name in session.rooms and name not in session.server_rooms:
        raise CommandError(Error.ALREADY_SUBSCRIBED)
    ends_at = await _accept(session, name, token)
    until = session.caller.granted_until(name)
    try:
        reply = await enter(session, name, options, turn)
    except BaseException:
        if name not in session.rooms:
            session.drop_token(name)
        raise
    if until is not None and session.caller.granted_until(name) is None:
        session.keep_token(name, until)
    return reply | _until(ends_at)


async def renew(session: Session, name: str, token: str) -> Reply:
    """Take a newer token for a room that the connection is in."""
    if name not in session.rooms:
        raise CommandError(Error.PERMISSION_DENIED)
    try:
        ends_at = await _accept(session, name, token)
    except CommandError as refused:
        if refused.error.code != Error.TOKEN_EXPIRED.code:
            raise
        # Temporary, or the SDKs would give the subscription up rather than ask for a newer token.
        raise CommandError(Error(refused.error.code, refused.error.message, True)) from refused
    if name not in session.rooms:  # it was left in the meantime
        session.drop_token(name)
        raise CommandError(Error.PERMISSION_DENIED)
    session.node.reviewer.look_at([session], name)
    return _until(ends_at)


async def _accept(session: Session, name: str, token: str) -> float:
    """Let the connection into a room until a while after the token ends, which is returned."""
    user = session.user_id
    if not is_room_name(name):
        raise CommandError(Error.PERMISSION_DENIED)
    try:
        times = subscription_tokens.verify(token, room=name, user_id=user)
    except AuthenticationError as error:
        charge_refusal(session)
        is_expired = error.error.code == Error.TOKEN_EXPIRED.code
        refused = Error.TOKEN_EXPIRED if is_expired else Error.PERMISSION_DENIED
        raise CommandError(refused) from error
    for _ in range(_TRIES):
        version = changes.version
        taken_back_at = await session.node.last_changes.of(user, grants_of(name))
        if taken_back_at / 1_000 + CLOCKS_SECONDS >= times.issued_at:
            raise CommandError(Error.TOKEN_EXPIRED)
        if version < 0 or not changes.is_stale(version, user, name):
            grace = session.expiry_grace_seconds
            until = time.monotonic() + times.ends_at - time.time() + grace
            session.keep_token(name, until)
            return times.ends_at
    raise CommandError(Error.TOO_MANY_REQUESTS)


def _until(ends_at: float) -> Reply:
    return {"expires": True, "ttl": max(1, int(ends_at - time.time()))}

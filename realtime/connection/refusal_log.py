"""Logs what clients were refused, once a minute for each kind, with the command that explains it.

No line holds a credential or a payload.
"""

from __future__ import annotations

import difflib
import logging
import shlex

from django.conf import settings

from .. import signals
from ..authentication import profiles
from ..codes import APPLICATION_CODES, CloseCode, Error
from ..conf import realtime_settings
from ..metrics import metrics
from ..names import is_room_name
from ..protocols.requests import CloseSession
from ..rooms.handlers import room_call, rpc_names
from ..sparse_log import SparseLogs
from . import events
from .session import Session

logger = logging.getLogger("realtime.refusals")
_refusals = SparseLogs(logger)

SHOWN_MAX = 200
_RIGHTS = {
    "subscribe": "join",
    "publish": "publish",
    "history": "join",
    "presence": "join",
    "presence_stats": "join",
}
_REASONS = {
    Error.INTERNAL.code: "not available now",
    Error.UNAUTHORIZED.code: "credentials",
    Error.UNKNOWN_CHANNEL.code: "rights",
    Error.PERMISSION_DENIED.code: "rights",
    Error.LIMIT_EXCEEDED.code: "limits",
    Error.BAD_REQUEST.code: "not valid",
    Error.TOKEN_EXPIRED.code: "credentials",
    Error.TOO_MANY_REQUESTS.code: "limits",
}
_OF_CREDENTIALS = (CloseCode.INVALID_TOKEN, CloseCode.EXPIRED)
_OF_RIGHTS = (Error.UNKNOWN_CHANNEL.code, Error.PERMISSION_DENIED.code)


def log_refusal(session: Session, command: str, subject: str, error: Error) -> None:
    """Log a command that was refused. `subject` is its room, or the method of an rpc."""
    metrics.refused[_REASONS.get(error.code, "other")] += 1
    events.send(signals.refused, session, command=command, subject=subject, code=error.code)
    action = _RIGHTS.get(command)
    call = room_call(subject) if command == "rpc" else None
    if call is not None:
        action, subject = call.right, call.room
    if action and (error.code in _OF_RIGHTS or error.code in APPLICATION_CODES):
        _log_right(session, action, subject, error)
    elif error.code == Error.METHOD_NOT_FOUND.code:
        _refusals.warning(
            ("rpc", session.user_id),
            "refused an rpc of %s: nothing is registered as %r; %s",
            lambda: _name(session),
            subject[:SHOWN_MAX],
            lambda: _known_rpc(subject),
        )
    elif error.code == Error.BAD_REQUEST.code:
        _refusals.warning(
            ("bad request", session.user_id),
            "refused a command (%s) of %s: %s",
            command or "not readable",
            lambda: _name(session),
            error.message,
        )


def log_refused_credential(session: Session, request: CloseSession) -> None:
    """Log a connection that is closed because of its credential, or because it has none."""
    if request.code in _OF_CREDENTIALS:
        metrics.refused["credentials"] += 1
    error = session.authentication_error
    if request.code is not CloseCode.INVALID_TOKEN or (error is not None and not error.ambient):
        return  # the middleware has logged the second
    _refusals.warning(
        "credential",
        'refused a connection from %s: %s; REALTIME["CREDENTIALS"] accepts %s',
        session.address or "an unknown address",
        request.reason or CloseCode.INVALID_TOKEN.reason,
        ", ".join(realtime_settings.CREDENTIALS),
    )


def _log_right(session: Session, action: str, room: str, error: Error) -> None:
    # A developer tries several rooms in a minute; on a real site, clients may invent any number.
    kind = (action, session.user_id, room[:SHOWN_MAX] if settings.DEBUG else "")
    _refusals.warning(
        kind,
        "refused: %s may not %s %r (%d); %s",
        lambda: _name(session),
        action,
        room[:SHOWN_MAX],
        error.code,
        lambda: _how_to_explain(session, action, room),
    )


def _how_to_explain(session: Session, action: str, room: str) -> str:
    if not is_room_name(room):
        return "this is not a valid name of a room"
    user = session.caller.user
    if user.is_anonymous:
        return "only rooms whose access is ANYONE admit visitors who are not signed in"
    return f"to see why: manage.py realtime explain {_word(user)} {room} {action}"


def _word(user: object) -> str:
    """Return the user as an argument of the command line."""
    name = profiles.username(user)
    return shlex.quote(name) if name.isprintable() else str(getattr(user, "pk", ""))


def _name(session: Session) -> str:
    user = session.caller.user
    return "an anonymous visitor" if user.is_anonymous else _word(user)


def _known_rpc(method: str) -> str:
    known = rpc_names()
    near = difflib.get_close_matches(method[:SHOWN_MAX], known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"registered are: {', '.join(known)}" if known else "none is registered"

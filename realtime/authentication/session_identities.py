"""The users of Django's sessions: those of many connections are read with two queries."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user,
    load_backend,
)
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from ..changes import changes
from ..concurrency.batching import BatchedLookup
from ..exceptions import AuthenticationError
from . import django_sessions, users
from .django_sessions import django_sign_in
from .identity import Identity, has_own_rule, permitted
from .refusals import CLAIM_ERRORS, outcome
from .verification import together

_OURS = {
    "django.contrib.auth.backends.ModelBackend",
    "realtime.rights.ModelBackend",
    "realtime.rights.RoomBackend",
}


class _StoredSession(dict[str, Any]):
    """A copy of a stored session that is never saved.

    Django flushes or renames a session that it distrusts. The browser would then need a new cookie,
    which a WebSocket can't set.
    """

    def flush(self) -> None: ...
    def cycle_key(self) -> None: ...


async def identify(session_key: str) -> Identity:
    """Return the identity of a Django session. Raises the errors of `authenticate`."""
    return await _sessions.ask(session_key, session_key)


async def _identify_many(session_keys: list[str]) -> list[Identity | Exception]:
    return await together(identities_from_sessions, session_keys, asks_site=_asks_site())


def _asks_site() -> bool:
    return has_own_rule() or not _OURS.issuperset(settings.AUTHENTICATION_BACKENDS)


_sessions: BatchedLookup[str, Identity] = BatchedLookup(_identify_many)


def identity_from_session(session_key: str) -> Identity:
    """Return the identity of a Django session; raise `AuthenticationError` if it has no user."""
    (answer,) = identities_from_sessions([session_key])
    if isinstance(answer, Exception):
        raise answer
    return answer


def identities_from_sessions(session_keys: list[str]) -> list[Identity | Exception]:
    """Return the identity of each session, or the error for its client.

    Raises the error of the database, or `AuthenticationUnavailable`, if sessions can't be read.
    """
    version = changes.version
    sessions = django_sessions.load(session_keys)
    known = _find_users([sessions[key] for key in session_keys])
    return [outcome(_identity, key, sessions[key], known, version) for key in session_keys]


def _find_users(sessions: list[dict[str, Any]]) -> dict[str, users.KnownUser]:
    ids = {
        session[SESSION_KEY]
        for session in sessions
        if isinstance(session.get(SESSION_KEY), str) and _is_of_model_backend(session)
    }
    try:
        return users.find("pk", ids)
    except CLAIM_ERRORS:
        return {}  # one is impossible: each is asked for alone


def _identity(
    key: str, session: dict[str, Any], known: dict[str, users.KnownUser], version: int
) -> Identity:
    found = known.get(str(session.get(SESSION_KEY))) if _is_of_model_backend(session) else None
    if found is None:
        user = _ask_backend(session)
    else:
        user, version = _verified(found.user, session), found.version
    if user is None or not user.is_authenticated:
        raise AuthenticationError("the session is not signed in")
    return Identity(
        permitted(user), session_id=django_sign_in(key), session_key=key, version=version
    )


def _ask_backend(session: dict[str, Any]) -> Any:
    request: Any = HttpRequest()
    request.session = _StoredSession(session)
    try:
        return get_user(request)
    except CLAIM_ERRORS:
        return None  # an id that this user model can't have


def _is_of_model_backend(session: dict[str, Any]) -> bool:
    """Return whether Django's own backend finds the user of a session: by the primary key."""
    backend = _backend(session)
    return backend is not None and type(backend).get_user is ModelBackend.get_user


def _backend(session: dict[str, Any]) -> Any:
    path = str(session.get(BACKEND_SESSION_KEY))
    return load_backend(path) if path in settings.AUTHENTICATION_BACKENDS else None


def _verified(user: Any, session: dict[str, Any]) -> Any:
    """Return the user if the backend lets them sign in, and if they have the password of the
    session: the rules of `django.contrib.auth.get_user`, for a user who was read already."""
    if not _backend(session).user_can_authenticate(user):
        return None
    if not hasattr(user, "get_session_auth_hash"):
        return user
    given = str(session.get(HASH_SESSION_KEY) or "")
    if constant_time_compare(given, user.get_session_auth_hash()):
        return user
    # Signed with one of SECRET_KEY_FALLBACKS.
    older = user.get_session_auth_fallback_hash()
    return user if any(constant_time_compare(given, each) for each in older) else None

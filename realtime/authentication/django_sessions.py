"""Django's own sessions as a credential."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user
from django.http import HttpRequest
from django.utils import timezone
from django.utils.module_loading import import_string

from ..changes import changes
from ..databases import reads_up_to_date
from ..exceptions import AuthenticationError, AuthenticationUnavailable
from .identity import Identity, permitted


class _StoredSession(dict[str, Any]):
    """A copy of a stored session that is never saved.

    Django flushes or renames a session that it distrusts. The browser would then need a new cookie,
    which a WebSocket can't set.
    """

    def flush(self) -> None: ...
    def cycle_key(self) -> None: ...


KEYS_AT_ONCE = 500


def identity_from_session(session_key: str) -> Identity:
    """Return the identity of a Django session; raise `AuthenticationError` if it has no user."""
    version = changes.version
    request: Any = HttpRequest()
    request.session = _StoredSession(_load(session_key))
    user = get_user(request)
    if not user.is_authenticated:
        raise AuthenticationError("the session is not signed in")
    return Identity(
        permitted(user),
        session_id=django_sign_in(session_key),
        session_key=session_key,
        version=version,
    )


@reads_up_to_date
def ended(session_keys: Collection[str]) -> set[str]:
    """Return those of `session_keys` whose session has expired or was deleted. Raises
    `AuthenticationUnavailable` or the error of the database if they can't be read.

    One query for each 500 of them if sessions are in the database; otherwise each one is loaded.
    """
    model = _table()
    if model is None:
        return {key for key in session_keys if SESSION_KEY not in _load(key)}
    known, found = list(session_keys), set[str]()
    for start in range(0, len(known), KEYS_AT_ONCE):
        alive = model._default_manager.filter(
            session_key__in=known[start : start + KEYS_AT_ONCE], expire_date__gt=timezone.now()
        )
        found.update(alive.values_list("session_key", flat=True))
    return set(known) - found


def _load(session_key: str) -> dict[str, Any]:
    """Return what a session holds; nothing if it has ended. Raises `AuthenticationUnavailable`."""
    store = _store()(session_key)
    data: dict[str, Any] = store.load()
    if SESSION_KEY not in data and _table() is None:
        # Django's store takes a cache that does not answer for an empty one. Only `load` does.
        try:
            store.exists(session_key)
        except Exception as error:
            raise AuthenticationUnavailable("the sessions can't be read") from error
    return data


def _table() -> Any:
    """Return the model of the sessions, or None if they are not in the database."""
    get_model = getattr(_store(), "get_model_class", None)
    return None if get_model is None else get_model()


def _store() -> Any:
    return import_string(f"{settings.SESSION_ENGINE}.SessionStore")


def django_sign_in(session_key: str | None) -> str:
    """Return an id for the sign-in of a Django session that does not reveal the session key."""
    if not session_key:
        return ""
    return "django:" + hashlib.sha256(session_key.encode()).hexdigest()[:32]

"""Django's own sessions as a credential."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db, file, signed_cookies
from django.core import signing
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.utils.module_loading import import_string

from ..databases import reads_up_to_date
from ..exceptions import AuthenticationUnavailable
from . import cached_sessions

KEYS_AT_ONCE = 500


def load(session_keys: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return what these sessions hold; nothing for those that have ended or that nobody knows.

    One query for each 500 of them if Django's own store keeps them in the database; otherwise each
    one is loaded. Raises `AuthenticationUnavailable` or the error of the database.
    """
    store = _store()
    if getattr(store, "load", None) is not db.SessionStore.load:
        return {key: _load(key) for key in session_keys}
    found: dict[str, dict[str, Any]] = {key: {} for key in session_keys}
    for rows in _rows(session_keys, expire_date__gt=timezone.now()):
        for key, data in rows.values_list("session_key", "session_data"):
            found[key] = store().decode(data)
    return found


def _rows(session_keys: Collection[str], **conditions: Any) -> Iterator[Any]:
    # A database may raise for what no key is made of, such as NUL.
    keys = [key for key in session_keys if key.isascii() and key.isprintable()]
    for start in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[start : start + KEYS_AT_ONCE]
        yield _table().objects.filter(session_key__in=some, **conditions)


@reads_up_to_date
def ends(session_keys: Collection[str]) -> dict[str, float | None]:
    """Return when each of these sessions ends or has ended, in Unix time; None if the store does
    not know, as some caches. One that was deleted is not in the answer. Raises
    `AuthenticationUnavailable` or the error of the database if they can't be read.

    One query for each 500 of them if sessions are in the database, or in a cache alone; otherwise
    each one is loaded.
    """
    if cached_sessions.are_read_together(_store()):
        return cached_sessions.ends(_store(), session_keys)
    if _table() is None:
        answers = {key: _end_of(key) for key in session_keys}
        return {key: end for key, end in answers.items() if end != _DELETED}
    found: dict[str, float | None] = {}
    for rows in _rows(session_keys):
        for key, end in rows.values_list("session_key", "expire_date"):
            found[key] = end.timestamp()
    return found


_DELETED = -1.0


def _end_of(session_key: str) -> float | None:
    store = _store()
    if issubclass(store, signed_cookies.SessionStore):
        return _end_of_cookie(store(), session_key)
    end = None
    if issubclass(store, file.SessionStore):
        # Before it is loaded, which deletes it if it has expired.
        end = _end_of_file(store(session_key), session_key)
    return end if SESSION_KEY in _load(session_key) or _is_past(end) else _DELETED


def _end_of_cookie(store: Any, session_key: str) -> float | None:
    try:
        seconds = signing.b62_decode(session_key.rsplit(":", 2)[1])
    except (IndexError, ValueError):
        return _DELETED
    return float(seconds + store.get_session_cookie_age())


def _end_of_file(store: Any, session_key: str) -> float | None:
    path = Path(store.storage_path) / (store.file_prefix + session_key)
    try:
        saved = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
    except OSError:
        return None
    end: datetime = store.get_expiry_date(modification=saved)
    return end.timestamp()


def _is_past(end: float | None) -> bool:
    return end is not None and end <= datetime.now(tz=UTC).timestamp()


def have_lasting_keys() -> bool:
    """Return whether a session keeps its key while it is extended. One that is in a cookie alone
    has the cookie as its key, and another one after each save."""
    return not issubclass(_store(), signed_cookies.SessionStore)


def are_available() -> bool:
    """Return whether the site has sessions: not without the app of Django, for example."""
    return _is_importable(settings.SESSION_ENGINE)


@cache
def _is_importable(engine: str) -> bool:
    try:
        import_string(f"{engine}.SessionStore")
    except (ImportError, RuntimeError, ImproperlyConfigured):
        return False
    return True


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

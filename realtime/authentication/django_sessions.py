"""Django's own sessions as a credential."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.utils.module_loading import import_string

from ..changes import changes
from ..exceptions import AuthenticationError
from .identity import Identity, permitted


class _StoredSession(dict[str, Any]):
    """A copy of a stored session that is never saved.

    Django flushes or renames a session that it distrusts. The browser would then need a new cookie,
    which a WebSocket can't set.
    """

    def flush(self) -> None: ...
    def cycle_key(self) -> None: ...


def identity_from_session(session_key: str) -> Identity:
    """Return the identity of a Django session; raise `AuthenticationError` if it has no user."""
    version = changes.version
    request: Any = HttpRequest()
    stored = import_string(f"{settings.SESSION_ENGINE}.SessionStore")(session_key)
    request.session = _StoredSession(stored.load())
    user = get_user(request)
    if not user.is_authenticated:
        raise AuthenticationError("the session is not signed in")
    return Identity(permitted(user), session_id=django_sign_in(session_key), version=version)


def django_sign_in(session_key: str | None) -> str:
    """Return an id for the sign-in of a Django session that does not reveal the session key."""
    if not session_key:
        return ""
    return "django:" + hashlib.sha256(session_key.encode()).hexdigest()[:32]

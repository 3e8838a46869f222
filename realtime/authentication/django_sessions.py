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
    """A session as it was stored. Django ends or renames one that it doubts, for which the browser
    would need an answer; here there is none to give, so nothing is written."""

    def flush(self) -> None: ...
    def cycle_key(self) -> None: ...


def identity_from_session(session_key: str) -> Identity:
    """The identity of a Django session. Raises `AuthenticationError` where nobody is signed in."""
    version = changes.version
    request: Any = HttpRequest()
    stored = import_string(f"{settings.SESSION_ENGINE}.SessionStore")(session_key)
    request.session = _StoredSession(stored.load())
    user = get_user(request)
    if not user.is_authenticated:
        raise AuthenticationError("the session is not signed in")
    return Identity(permitted(user), session_id=django_sign_in(session_key), version=version)


def django_sign_in(session_key: str | None) -> str:
    """What the sign-in of a Django session is called where its key must not be seen."""
    if not session_key:
        return ""
    return "django:" + hashlib.sha256(session_key.encode()).hexdigest()[:32]

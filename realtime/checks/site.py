"""The settings of the site that this app works with: backends, middleware, sessions, users."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from .. import user_models
from ..control.sign_ins import SignInMiddleware
from ..rights.backend import is_listed
from .listed import listed

_ROOM_BACKEND = "realtime.rights.RoomBackend"
_MIDDLEWARE = "realtime.sign_ins.SignInMiddleware"
_COOKIE_SESSIONS = "django.contrib.sessions.backends.signed_cookies"


def check_backend(**kwargs: Any) -> list[CheckMessage]:
    """Report a list of backends that is longer than sign-in views expect, or too short."""
    listed = list(settings.AUTHENTICATION_BACKENDS)
    if _ROOM_BACKEND in listed and len(listed) == 2:
        return [
            Warning(
                "Sign-in views that call login(request, user) fail, because "
                f"AUTHENTICATION_BACKENDS has a second entry, {_ROOM_BACKEND}.",
                hint="Remove it: rooms ask their rules without it. If your own code calls "
                'has_perm with a room, replace "django.contrib.auth.backends.ModelBackend" by '
                '"realtime.rights.ModelBackend" too (users have to sign in again). To keep both '
                "entries, write login(request, user, backend=...) and silence this warning.",
                id="realtime.W030",
            )
        ]
    user_model = get_user_model()
    if user_models.decides_itself(user_model) and not is_listed():
        return [
            Warning(
                f"{user_model._meta.label}.has_perm decides by itself who may enter rooms: "
                "memberships, groups and room types have no effect.",
                hint="If it asks the authentication backends (as super().has_perm does), replace "
                '"django.contrib.auth.backends.ModelBackend" in AUTHENTICATION_BACKENDS by '
                '"realtime.rights.ModelBackend". If it shall decide alone, silence this warning.',
                id="realtime.W001",
            )
        ]
    return []


def check_middleware(**kwargs: Any) -> list[CheckMessage]:
    """Report what pages that connect with the Django session need."""
    if "session" not in listed("CREDENTIALS"):
        return []
    sessions = _place_of(SessionMiddleware)
    if sessions is None:
        return []  # this site has no sessions, and no cookie of them will come
    ours = _place_of(SignInMiddleware)
    if ours is None:
        return [
            Warning(
                "A user who changes their password loses the connections of the current session.",
                hint=f'Add "{_MIDDLEWARE}" to MIDDLEWARE, after SessionMiddleware.',
                id="realtime.W005",
            )
        ]
    if ours < sessions:
        return [
            Error(
                "SignInMiddleware is before SessionMiddleware, so it sees no session.",
                hint=f'In MIDDLEWARE, move "{_MIDDLEWARE}" behind '
                f'"{settings.MIDDLEWARE[sessions]}".',
                id="realtime.E014",
            )
        ]
    return []


def _place_of(wanted: type) -> int | None:
    """Return where a middleware, or a class that is derived from it, stands in `MIDDLEWARE`."""
    for place, path in enumerate(settings.MIDDLEWARE):
        try:
            found = import_string(path)
        except ImportError:
            continue  # Django reports it
        if isinstance(found, type) and issubclass(found, wanted):
            return place
    return None


def check_sessions(**kwargs: Any) -> list[CheckMessage]:
    if "session" not in listed("CREDENTIALS"):
        return []
    if settings.SESSION_ENGINE == _COOKIE_SESSIONS:
        return [
            Warning(
                "Sessions are held by cookies alone, so they have no name that stays: a sign-out "
                "does not close connections that were opened before the cookie was written last.",
                hint='Use another SESSION_ENGINE, or remove "session" from '
                'REALTIME["CREDENTIALS"].',
                id="realtime.W014",
            )
        ]
    return []


def check_user_model(**kwargs: Any) -> list[CheckMessage]:
    user_model = get_user_model()
    messages: list[CheckMessage] = []
    for name in ("is_active", "is_anonymous", "get_username"):
        if not hasattr(user_model, name):
            messages.append(
                Error(
                    f"The user model {user_model._meta.label} has no {name}.",
                    hint="Derive it from django.contrib.auth.models.AbstractBaseUser.",
                    id="realtime.E013",
                )
            )
    if hasattr(user_model, "groups") and user_models.groups() is None:
        messages.append(
            Warning(
                f"{user_model._meta.label}.groups does not lead to Django's groups, so the groups "
                "of a room admit nobody.",
                hint="Make it a ManyToManyField to auth.Group, as PermissionsMixin does. Or give "
                "users a role in the room, and silence this warning.",
                id="realtime.W013",
            )
        )
    return messages

"""System checks: `manage.py check` reports wrong settings, each with its fix."""

from __future__ import annotations

import difflib
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from rest_framework.authentication import BaseAuthentication
from rest_framework.settings import api_settings
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication

from . import conf, user_models
from .authentication import credentials, origins
from .conf import realtime_settings
from .layers import get_layer
from .layers.memory import MemoryRoomLayer
from .rooms.nesting import PAYLOAD_LEVELS

_BACKEND = "realtime.rights.RoomBackend"
_MIDDLEWARE = "realtime.sign_ins.SignInMiddleware"
_COOKIE_SESSIONS = "django.contrib.sessions.backends.signed_cookies"


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    configured = getattr(settings, "REALTIME", {})
    if not isinstance(configured, dict):
        hint = "Write REALTIME = {...}."
        return [Error("REALTIME is not a dict.", hint=hint, id="realtime.E001")]
    messages: list[CheckMessage] = []
    for key, value in configured.items():
        if key not in conf.KEYS:
            messages.append(_unknown_key(key))
        elif not _has_type_of(value, conf.KEYS[key].default):
            kind = type(conf.KEYS[key].default).__name__
            messages.append(
                Error(
                    f'REALTIME["{key}"] is not of type {kind}.',
                    hint=f"The default is {conf.KEYS[key].default!r}.",
                    id="realtime.E003",
                )
            )
    return messages or _check_values()


def _check_values() -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    for way in set(realtime_settings.CREDENTIALS) - set(conf.CREDENTIALS):
        hint = f"Choose from: {', '.join(conf.CREDENTIALS)}."
        messages.append(
            Error(
                f'REALTIME["CREDENTIALS"] contains {way!r}, which is not a credential.',
                hint=hint,
                id="realtime.E004",
            )
        )
    if realtime_settings.MESSAGE_MAX_LEVELS > PAYLOAD_LEVELS:
        messages.append(
            Error(
                f'REALTIME["MESSAGE_MAX_LEVELS"] is above {PAYLOAD_LEVELS}.',
                hint="Parsers of some Python releases take no more.",
                id="realtime.E007",
            )
        )
    for key in ("AUTHENTICATOR", "USER_INFO", "USER_LABEL"):
        path = getattr(realtime_settings, key)
        try:
            import_string(path)
        except ImportError as error:
            messages.append(
                Error(
                    f'REALTIME["{key}"] can\'t be imported: {error}',
                    hint="Write the dotted path of a class or function.",
                    id="realtime.E005",
                )
            )
    return [*messages, *_check_authenticator(), *_check_token_size()]


def _check_authenticator() -> list[CheckMessage]:
    """Report authentication classes of DRF: they look alike, but get a request, not a token."""
    try:
        authenticator = import_string(realtime_settings.AUTHENTICATOR)
    except ImportError:
        return []  # reported above
    is_of_drf = isinstance(authenticator, type) and issubclass(authenticator, BaseAuthentication)
    if not is_of_drf and hasattr(authenticator, "authenticate"):
        return []
    return [
        Error(
            'REALTIME["AUTHENTICATOR"] is not an authenticator of access tokens.',
            hint="Write a class whose authenticate(raw_token) returns an Identity with a user of "
            "AUTH_USER_MODEL that was read from the database.",
            id="realtime.E012",
        )
    ]


def check_stateless_users(**kwargs: Any) -> list[CheckMessage]:
    classes: Any = api_settings.DEFAULT_AUTHENTICATION_CLASSES
    if not any(issubclass(each, JWTStatelessUserAuthentication) for each in classes):
        return []
    return [
        Warning(
            "The API of this site has users without a row (JWTStatelessUserAuthentication). On "
            "WebSockets they are refused, unless AUTH_USER_MODEL has their row.",
            hint='Create the row when a token is first seen, in a REALTIME["AUTHENTICATOR"] of '
            "your own, or silence this warning.",
            id="realtime.W012",
        )
    ]


def _check_token_size() -> list[CheckMessage]:
    most = realtime_settings.TOKEN_MAX_BYTES
    if most > realtime_settings.FRAME_MAX_BYTES:
        return [
            Error(
                'REALTIME["TOKEN_MAX_BYTES"] is larger than FRAME_MAX_BYTES, so that no frame can '
                "carry such a token.",
                hint="Raise FRAME_MAX_BYTES, or lower TOKEN_MAX_BYTES.",
                id="realtime.E011",
            )
        ]
    default = conf.KEYS["TOKEN_MAX_BYTES"].default
    if most > default and "connect" not in realtime_settings.CREDENTIALS:
        return [
            Warning(
                f'REALTIME["TOKEN_MAX_BYTES"] is {most}, but only the connect command carries more '
                f"than {credentials.LINE_MAX_BYTES} bytes, and it is switched off.",
                hint='Add "connect" to REALTIME["CREDENTIALS"], or use tickets.',
                id="realtime.W011",
            )
        ]
    return []


def check_origins(**kwargs: Any) -> list[CheckMessage]:
    hint = (
        "Write scheme and host, without a path or a slash at the end, such as "
        '"https://www.example.com", "https://*.example.com" or "capacitor://localhost".'
    )
    messages: list[CheckMessage] = [
        Error(
            f'REALTIME["ALLOWED_ORIGINS"] contains {entry!r}, which is not an origin.',
            hint=hint,
            id="realtime.E010",
        )
        for entry in _no_origins(realtime_settings.ALLOWED_ORIGINS)
    ]
    messages += [
        Warning(
            f"CSRF_TRUSTED_ORIGINS contains {entry!r}, which matches no Origin.",
            hint=hint,
            id="realtime.W010",
        )
        for entry in _no_origins(settings.CSRF_TRUSTED_ORIGINS)
    ]
    return messages


def _no_origins(entries: Any) -> list[Any]:
    if isinstance(entries, str):
        return []  # not a list, which is reported elsewhere
    return [entry for entry in entries if not (isinstance(entry, str) and origins.is_entry(entry))]


def check_backend(**kwargs: Any) -> list[CheckMessage]:
    if _BACKEND in settings.AUTHENTICATION_BACKENDS:
        return []
    hint = f'Add "{_BACKEND}" to AUTHENTICATION_BACKENDS.'
    return [
        Warning(
            "No authentication backend decides rights in rooms, so only superusers may enter them.",
            hint=hint,
            id="realtime.W001",
        )
    ]


def check_middleware(**kwargs: Any) -> list[CheckMessage]:
    if "session" not in realtime_settings.CREDENTIALS or _MIDDLEWARE in settings.MIDDLEWARE:
        return []
    return [
        Warning(
            "A user who changes their password loses the connections of the current session, and "
            "a session in which another user signs in keeps the connections of the first user.",
            hint=f'Add "{_MIDDLEWARE}" to MIDDLEWARE, after SessionMiddleware.',
            id="realtime.W005",
        )
    ]


def check_sessions(**kwargs: Any) -> list[CheckMessage]:
    if (
        "session" not in realtime_settings.CREDENTIALS
        or settings.SESSION_ENGINE != _COOKIE_SESSIONS
    ):
        return []
    return [
        Warning(
            "Sessions are held by cookies alone, so they have no name that stays: a sign-out does "
            "not close connections that were opened before the cookie was written last.",
            hint='Use another SESSION_ENGINE, or remove "session" from REALTIME["CREDENTIALS"].',
            id="realtime.W014",
        )
    ]


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


def check_layer(**kwargs: Any) -> list[CheckMessage]:
    try:
        get_layer()
    except (ImproperlyConfigured, TypeError, ValueError) as error:
        # Such as `hosts` that are one URL instead of a list of them.
        return [Error(str(error), id="realtime.E006")]
    return []


def check_deployment(**kwargs: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    if "query" in realtime_settings.CREDENTIALS:
        messages.append(
            Warning(
                "Tokens are accepted in the query string, which proxies and browsers log.",
                hint='Remove "query" from REALTIME["CREDENTIALS"], and use tickets instead.',
                id="realtime.W002",
            )
        )
    if not check_layer() and isinstance(get_layer(), MemoryRoomLayer):
        messages.append(
            Warning(
                "The channel layer works in one process only; other processes get no messages.",
                hint='Use "realtime.layers.redis.RedisRoomLayer" and a Redis server.',
                id="realtime.W004",
            )
        )
    return messages


def _unknown_key(key: str) -> CheckMessage:
    near = difflib.get_close_matches(str(key), conf.KEYS, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(conf.KEYS)}."
    return Error(f'REALTIME["{key}"] is not a setting.', hint=hint, id="realtime.E002")


def _has_type_of(value: Any, default: Any) -> bool:
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, tuple):
        return isinstance(value, list | tuple | set)
    if isinstance(default, float | int):
        return isinstance(value, float | int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, type(default))

"""What proves who a client is: the authenticator, the size of tokens, origins."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string
from rest_framework.authentication import BaseAuthentication
from rest_framework.settings import api_settings
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication

from .. import conf
from ..authentication import credentials, origins
from ..conf import realtime_settings
from .listed import listed


def check_authenticator() -> list[CheckMessage]:
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


def check_token_size() -> list[CheckMessage]:
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
        for entry in _no_origins(listed("ALLOWED_ORIGINS"))
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

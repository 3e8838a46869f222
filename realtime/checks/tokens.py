"""Tokens of other issuers: whom they are for, what they permit, and users who are unknown."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string
from rest_framework_simplejwt.settings import api_settings

from ..authentication import SimpleJWTAuthenticator, signing_keys, unknown_users
from ..conf import realtime_settings
from .listed import listed


def check_unknown_users() -> list[CheckMessage]:
    how = realtime_settings.UNKNOWN_USERS
    if how == unknown_users.REFUSE:
        return []
    if how == unknown_users.CREATE:
        return _check_creation()
    try:
        if callable(import_string(how)):
            return []
        problem = "it is not a function"
    except ImportError as error:
        problem = str(error)
    return [
        Error(
            f'REALTIME["UNKNOWN_USERS"] is {how!r}: {problem}',
            hint='Write "refuse", "create", or the dotted path of a function that gets the claims '
            "of a token and returns a user or None.",
            id="realtime.E031",
        )
    ]


def _check_creation() -> list[CheckMessage]:
    if unknown_users.are_creatable():
        return []
    return [
        Error(
            'REALTIME["UNKNOWN_USERS"] is "create", but users are found by their primary key, '
            "which the database counts.",
            hint='Set SIMPLE_JWT["USER_ID_FIELD"] to the field that holds the claim, such as '
            '"username".',
            id="realtime.E032",
        )
    ]


def check_scopes() -> list[CheckMessage]:
    return [
        Error(
            f'REALTIME["SCOPES"][{word!r}] is not a list of scopes of this app.',
            hint='Write a list such as ["realtime:join", "realtime:publish:lobby"].',
            id="realtime.E033",
        )
        for word, meaning in realtime_settings.SCOPES.items()
        if not _is_list_of_scopes(meaning)
    ]


def _is_list_of_scopes(meaning: Any) -> bool:
    return isinstance(meaning, list | tuple | set) and all(
        isinstance(scope, str) and scope.startswith("realtime:") for scope in meaning
    )


_APPS = {
    "realtime.authentication.oauth_toolkit.": "oauth2_provider",
    "realtime.authentication.allauth.": "allauth.headless",
}


def check_library() -> list[CheckMessage]:
    path = realtime_settings.AUTHENTICATOR
    missing = [
        app
        for module, app in _APPS.items()
        if path.startswith(module) and not apps.is_installed(app)
    ]
    return [
        Error(
            f'REALTIME["AUTHENTICATOR"] is {path!r}, but the app {app!r} is not installed.',
            hint=f'Add "{app}" to INSTALLED_APPS, as the documentation of the library says.',
            id="realtime.E034",
        )
        for app in missing
    ]


def check_audience(**kwargs: Any) -> list[CheckMessage]:
    """Report that tokens which an issuer gave to any other site open sockets here."""
    if not signing_keys.are_external() or not _are_verified_here():
        return []
    if api_settings.AUDIENCE or listed("AUTHORIZED_PARTIES"):
        return []
    return [
        Warning(
            'SIMPLE_JWT has a "JWK_URL" and no "AUDIENCE": tokens that the issuer gave to other '
            "applications are accepted.",
            hint='Set SIMPLE_JWT["AUDIENCE"], or REALTIME["AUTHORIZED_PARTIES"] if the tokens have '
            "no audience, as those of AWS Cognito.",
            id="realtime.W031",
        )
    ]


def _are_verified_here() -> bool:
    try:
        authenticator = import_string(realtime_settings.AUTHENTICATOR)
    except ImportError:
        return False  # reported elsewhere
    return isinstance(authenticator, type) and issubclass(authenticator, SimpleJWTAuthenticator)

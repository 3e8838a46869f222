"""Finds the credential of a connection in its ASGI scope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.http.cookie import parse_cookie
from rest_framework_simplejwt.settings import api_settings

from ..conf import realtime_settings
from ..exceptions import AuthenticationError
from . import django_sessions, subprotocols


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential and the way it came. The repr hides its value, which keeps it out of logs."""

    way: str
    value: str

    def __repr__(self) -> str:
        return f"Credential({self.way!r})"


LINE_MAX_BYTES = 7_900
"""The longest token that arrives in a header or a URL. nginx and uvicorn take lines of 8 KiB, with
the name of the header or the path; longer ones do not reach us. Daphne alone takes 16 KiB."""

AMBIENT = ("cookie", "session")
"""Ways in which a browser adds a credential by itself, whichever page makes the request."""


def header_values(scope: dict[str, Any], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def find(scope: dict[str, Any]) -> Credential | None:
    """Return the credential of a scope, or None.

    A cookie is used only if there is no other credential. Raises `AuthenticationError` if there
    are two credentials, if one is malformed or too long, or if its way is switched off.
    """
    given = [*_subprotocol(scope), *_header(scope), *_query(scope)]
    for credential in given:
        _require_enabled(credential.way)
    if len(given) > 1:
        raise AuthenticationError("two credentials at once are ambiguous")
    found = given[0] if given else _ambient(scope)
    if found is not None and len(found.value) > LINE_MAX_BYTES:
        raise AuthenticationError(
            f"{len(found.value)} bytes are too long for a token by {found.way}: "
            "send it in the connect command, or get a ticket"
        )
    return found


def _require_enabled(way: str) -> None:
    if way not in realtime_settings.CREDENTIALS:
        raise AuthenticationError(f"the credential {way!r} is not switched on")


def _subprotocol(scope: dict[str, Any]) -> list[Credential]:
    bearers = subprotocols.bearers(scope)
    if bearers and subprotocols.selected(scope) is None:
        raise AuthenticationError(f"offer the bearer subprotocol together with {subprotocols.JSON}")
    return [Credential("subprotocol", token) for token in bearers]


def _header(scope: dict[str, Any]) -> list[Credential]:
    # Daphne joins repeated headers with a comma, uvicorn lists them: both fail as two.
    values = header_values(scope, b"authorization")
    return [Credential("header", _bearer(value)) for value in values]


def _bearer(value: str) -> str:
    kinds = api_settings.AUTH_HEADER_TYPES
    kinds = [kinds] if isinstance(kinds, str) else kinds
    parts = value.split()
    if len(parts) != 2 or parts[0].lower() not in {kind.lower() for kind in kinds}:
        raise AuthenticationError("the type of the Authorization header is not accepted")
    return parts[1]


def _query(scope: dict[str, Any]) -> list[Credential]:
    try:
        pairs = parse_qsl(scope.get("query_string", b"").decode("ascii"), keep_blank_values=True)
    except (UnicodeError, ValueError) as error:
        raise AuthenticationError("the query string is not valid") from error
    ways = {"ticket": "ticket", "token": "query"}
    return [Credential(ways[key], value) for key, value in pairs if key in ways]


def _ambient(scope: dict[str, Any]) -> Credential | None:
    wanted = {"cookie": realtime_settings.COOKIE_NAME, "session": settings.SESSION_COOKIE_NAME}
    enabled = [way for way in AMBIENT if way in realtime_settings.CREDENTIALS]
    cookies = _cookies(scope) if enabled else {}
    for way in enabled:
        if cookies.get(wanted[way]) and (way != "session" or django_sessions.are_available()):
            return Credential(way, cookies[wanted[way]])
    return None


def _cookies(scope: dict[str, Any]) -> dict[str, str]:
    """Return the cookies as Django reads them, whatever stands beside ours. A proxy that speaks
    HTTP/2 may send several headers (RFC 9113, 8.2.3)."""
    return parse_cookie("; ".join(header_values(scope, b"cookie")))

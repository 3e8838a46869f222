"""Checks the Origin of a connection: the site's own pages and the configured origins pass."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.utils.http import is_same_domain

from ..conf import realtime_settings
from .credentials import header_values
from .handshake import Handshake

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
# Native libraries write the URL of the WebSocket in place of an origin.
_HTTP = {"ws": "http", "wss": "https"}


class Origin(NamedTuple):
    """A scheme with a host and its port; the default port is left out."""

    scheme: str
    place: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.place}"


def refusal(scope: dict[str, Any]) -> str | None:
    """Return the reason to refuse the Origin of a connection, or None.

    The rule is that of Django's CSRF check: the site's own origin and `CSRF_TRUSTED_ORIGINS` pass.
    So does `REALTIME["ALLOWED_ORIGINS"]`. A missing Origin passes, because only browsers have to
    send it. Cookies need one; `JWTAuthMiddleware` checks that. See also `refusal_of_session`.
    """
    given = header_values(scope, b"origin")
    if not given:
        return None
    origin = parse(given[0]) if len(given) == 1 else None
    if origin is None:
        return f"its Origin is {_shown(', '.join(given))}, which is not an origin"
    if is_listed(origin, (*realtime_settings.ALLOWED_ORIGINS, *settings.CSRF_TRUSTED_ORIGINS)):
        return None
    return _difference(scope, origin, given[0])


def refusal_of_session(scope: dict[str, Any]) -> str | None:
    """Return the reason why the page of a connection may not use the Django session, or None.

    The rule is exactly that of Django's CSRF check, because the browser adds the cookie whichever
    page asks. `REALTIME["ALLOWED_ORIGINS"]` are pages that bring a credential of their own.
    """
    given = header_values(scope, b"origin")
    if not given:
        return "the session needs an Origin, and none came"
    origin = parse(given[0])
    if origin is not None and (
        is_listed(origin, settings.CSRF_TRUSTED_ORIGINS)
        or _difference(scope, origin, given[0]) is None
    ):
        return None
    return "the session is only for pages of the site: see CSRF_TRUSTED_ORIGINS"


def with_page_origin(scope: dict[str, Any]) -> dict[str, Any]:
    """Return the scope of a GET with the Origin that browsers leave out for pages of the site.

    `Sec-Fetch-Site` says whether it is one, where a browser sends it: over HTTPS, and to
    localhost. Else `Referer` does. No page can set either.
    """
    if is_present(scope):
        return scope
    sites, pages = header_values(scope, b"sec-fetch-site"), header_values(scope, b"referer")
    try:
        if sites:
            origin = Handshake(scope).own_origin if sites == ["same-origin"] else None
        else:
            origin = _origin_of_page(pages[0]) if len(pages) == 1 else None
    except (DisallowedHost, ValueError):
        origin = None
    if origin is None:
        return scope
    return {**scope, "headers": [*scope["headers"], (b"origin", origin.encode("latin-1"))]}


def _origin_of_page(url: str) -> str | None:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else None


def _difference(scope: dict[str, Any], origin: Origin, given: str) -> str | None:
    """Return how the origin differs from the site's own, or None if it is that."""
    try:
        own = Handshake(scope).own_origin
    except DisallowedHost as error:
        return f"its Origin is {_shown(given)}, and the site's own is unknown: {error}"
    expected = parse(own)
    if origin == expected:
        return None
    return (
        f"its Origin is {_shown(given)}; expected {own}, or an origin from "
        f'CSRF_TRUSTED_ORIGINS or REALTIME["ALLOWED_ORIGINS"]{_hint(origin, expected)}'
    )


def is_present(scope: dict[str, Any]) -> bool:
    return bool(header_values(scope, b"origin"))


@lru_cache(maxsize=64)
def parse(text: str) -> Origin | None:
    """Return the origin that `text` is, None if it is not one (RFC 6454, 6.2).

    Apps have schemes of their own, such as `capacitor://localhost`.
    """
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for a port that is not a number
    except ValueError:
        return None
    if not parts.scheme or "@" in parts.netloc or text != f"{parts.scheme}://{parts.netloc}":
        return None
    scheme = _HTTP.get(parts.scheme, parts.scheme)
    if not (parts.hostname if scheme in _DEFAULT_PORTS else parts.netloc or scheme == "file"):
        return None
    place = parts.netloc.lower()
    return Origin(scheme, place.removesuffix(_DEFAULT_PORTS.get(scheme, " ")))


def is_entry(text: str) -> bool:
    """Return whether `text` may stand in a list of origins: an origin, or `https://*.` and a
    domain."""
    origin = parse(text)
    if origin is None or "*" not in origin.place:
        return origin is not None
    return origin.place.startswith("*.") and len(origin.place) > 2 and "*" not in origin.place[1:]


def is_listed(origin: Origin, configured: Iterable[str]) -> bool:
    """Return whether `origin` is one of the configured ones; `https://*.example.com` stands for a
    domain with all its subdomains, as in `CSRF_TRUSTED_ORIGINS`."""
    exact, patterns = _compiled(tuple(configured))
    return origin in exact or any(
        origin.scheme == pattern.scheme and is_same_domain(origin.place, pattern.place)
        for pattern in patterns
    )


@lru_cache(maxsize=8)
def _compiled(configured: tuple[str, ...]) -> tuple[frozenset[Origin], tuple[Origin, ...]]:
    # The system checks report what can't be parsed.
    parsed = [(entry, origin) for entry in configured if (origin := parse(entry)) is not None]
    exact = frozenset(origin for entry, origin in parsed if "*" not in entry)
    patterns = (
        Origin(origin.scheme, origin.place.lstrip("*")) for entry, origin in parsed if "*" in entry
    )
    return exact, tuple(patterns)


def _shown(value: str) -> str:
    return repr(value[:200])


def _hint(origin: Origin, expected: Origin | None) -> str:
    """Return what usually causes a difference: a proxy that does not pass something on."""
    if expected is None or _host(origin) != _host(expected):
        return "; behind a proxy, it must pass the Host header on"
    if origin.scheme != expected.scheme:
        return "; only the scheme differs: see SECURE_PROXY_SSL_HEADER"
    return "; only the port differs: a proxy must pass it on in the Host header"


def _host(origin: Origin) -> str | None:
    return urlsplit(str(origin)).hostname

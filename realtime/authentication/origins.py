"""Checks the Origin of a connection: the site's own pages and the configured origins pass."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from ..conf import realtime_settings
from .credentials import header_values

_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_allowed(scope: dict[str, Any]) -> bool:
    """Return whether scheme, host and port of the Origin match an allowed origin exactly.

    A missing Origin passes, because only browsers send it. Cookies need one; `JWTAuthMiddleware`
    checks that. Two Origin headers are refused.
    """
    origins = header_values(scope, b"origin")
    if not origins:
        return True
    if len(origins) > 1:
        return False
    origin = _parse(origins[0])
    return origin is not None and (origin == _own(scope) or origin in _configured())


def is_present(scope: dict[str, Any]) -> bool:
    return bool(header_values(scope, b"origin"))


def _parse(origin: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or origin != _serialized(parts):
        return None
    return parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme]


def _serialized(parts: Any) -> str:
    """Return scheme and host, all that an origin may contain (RFC 6454, 6.2); "" with a user."""
    return f"{parts.scheme}://{parts.netloc}" if "@" not in parts.netloc else ""


def _own(scope: dict[str, Any]) -> tuple[str, str, int] | None:
    """Return the site's own origin, by the rules of `HttpRequest.get_host` and `is_secure`."""
    host = _host(scope)
    if host is None:
        return None
    return _parse(f"{_scheme(scope)}://{host}")


def _host(scope: dict[str, Any]) -> str | None:
    names = [b"x-forwarded-host"] if settings.USE_X_FORWARDED_HOST else []
    for name in (*names, b"host"):
        values = header_values(scope, name)
        if len(values) > 1:
            return None
        if values:
            domain, _port = split_domain_port(values[0])
            return values[0].lower() if domain and validate_host(domain, _allowed_hosts()) else None
    return None


def _allowed_hosts() -> list[str]:
    if settings.DEBUG and not settings.ALLOWED_HOSTS:
        return [".localhost", "127.0.0.1", "[::1]"]
    return list(settings.ALLOWED_HOSTS)


def _scheme(scope: dict[str, Any]) -> str:
    if settings.SECURE_PROXY_SSL_HEADER:
        header, secure = settings.SECURE_PROXY_SSL_HEADER
        name = header.removeprefix("HTTP_").replace("_", "-").lower().encode()
        values = header_values(scope, name)
        if values:
            return "https" if values[0].split(",", 1)[0].strip() == secure else "http"
    # Daphne sets no scheme.
    return "https" if scope.get("scheme") in ("wss", "https") else "http"


def _configured() -> set[tuple[str, str, int] | None]:
    configured = (*realtime_settings.ALLOWED_ORIGINS, *settings.CSRF_TRUSTED_ORIGINS)
    return {_parse(origin) for origin in configured} - {None}

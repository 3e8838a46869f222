"""The handshake of a WebSocket as Django would see it if it were an HTTP request."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest, get_script_prefix

_HTTP = {"ws": "http", "wss": "https"}


class Handshake(ASGIRequest):
    """Django's request for the scope of a WebSocket. Its host and scheme come from the same headers
    and settings as over HTTP: `ALLOWED_HOSTS`, `USE_X_FORWARDED_HOST`, `SECURE_PROXY_SSL_HEADER`.
    """

    def __init__(self, scope: dict[str, Any]) -> None:
        wanted = _header_names(settings.SECURE_PROXY_SSL_HEADER)
        request = {
            "method": "GET",
            "path": "/",
            "headers": [header for header in scope["headers"] if header[0] in wanted],
            "scheme": scope.get("scheme"),
            "server": scope.get("server"),
        }
        super().__init__(request, BytesIO())
        _translate_proxy_header(self.META)

    def _get_scheme(self) -> str:
        scheme = str(self.scope.get("scheme") or "http")
        return _HTTP.get(scheme, scheme)

    @property
    def own_origin(self) -> str:
        """The origin of the site's own pages. Raises `DisallowedHost` as `get_host` does."""
        return f"{'https' if self.is_secure() else 'http'}://{self.get_host()}"


def _header_names(ssl_header: tuple[str, str] | None) -> set[bytes]:
    """Return the headers that host and scheme come from; the others cost time, or may be odd."""
    names = {b"host", b"x-forwarded-host", b"x-forwarded-port"}
    if ssl_header:
        names.add(ssl_header[0].removeprefix("HTTP_").replace("_", "-").lower().encode())
    return names


def _translate_proxy_header(meta: dict[str, Any]) -> None:
    """Read `X-Forwarded-Proto: wss` as `https`: for WebSockets, Traefik sends the former."""
    if settings.SECURE_PROXY_SSL_HEADER:
        header, _ = settings.SECURE_PROXY_SSL_HEADER
        first = meta.get(header, "").split(",", 1)[0].strip()
        if first in _HTTP:
            meta[header] = _HTTP[first]


def with_script_name(scope: dict[str, Any]) -> dict[str, Any]:
    """Return a scope whose `root_path` and `path` fit together, so that sockets are found at the
    same prefix as Django's views.

    The prefix is `FORCE_SCRIPT_NAME` or the `root_path` of the server, and a proxy may keep it or
    strip it. `URLRouter` ignores the former, and raises for a path without the latter.
    """
    if "path_remaining" in scope:
        return scope  # a router above us has matched the beginning of the path
    path: str = scope["path"]
    prefix = get_script_prefix(scope)
    rest = path.removeprefix(prefix)
    if not rest.startswith("/"):
        prefix, rest = "", path
    if (scope.get("root_path", ""), path) == (prefix, prefix + rest):
        return scope
    return {**scope, "root_path": prefix, "path": prefix + rest}

"""The endpoint that says, to developers, why a page gets no WebSocket. Under DEBUG only."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponseNotFound, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import get_script_prefix
from django.views import View

from .. import checks
from ..authentication import origins
from ..authentication.handshake import Handshake
from ..conf import realtime_settings
from ..layers import get_layer

_NOT_ASGI = (
    "This address is served by a WSGI server, which opens no WebSockets. With runserver, put "
    '"daphne" first in INSTALLED_APPS and set ASGI_APPLICATION. With gunicorn, the proxy has to '
    "pass {path} on to an ASGI server: see docs/gunicorn.md."
)


class DiagnosisView(View):
    """GET: what a handshake of this page would meet, and the sentences that say what to change.

    The origin is that of the page: its `Origin`, the parameter `origin`, or that of its `Referer`.
    """

    def get(self, request: HttpRequest) -> HttpResponseBase:
        if not settings.DEBUG:
            return HttpResponseNotFound()
        answer = JsonResponse(_diagnosis(request), json_dumps_params={"indent": 2})
        answer["Cache-Control"] = "no-store"
        # A page of another origin, which is one of the mistakes, may read it. It comes without
        # cookies, and the answer has no secret.
        answer["Access-Control-Allow-Origin"] = "*"
        return answer


def _diagnosis(request: HttpRequest) -> dict[str, Any]:
    origin, scope = _origin_of_page(request), _scope(request)
    if origin:
        scope["headers"].append((b"origin", origin.encode("latin-1", "replace")))
    refused = origins.refusal(scope) if origin else None
    path = get_script_prefix() + realtime_settings.PATH.lstrip("/")
    secure = request.is_secure()
    user = getattr(request, "user", None)
    is_signed_in = user is not None and user.is_authenticated
    is_asgi = isinstance(request, ASGIRequest)
    problems = [] if is_asgi else [_NOT_ASGI.format(path=path)]
    if refused is not None:
        problems.append(f"The server refuses the WebSocket of this page with 403: {refused}.")
    if not is_signed_in and not realtime_settings.ALLOW_ANONYMOUS:
        problems.append(
            "Nobody is signed in to a Django session here: sign in, or let the client send a token."
        )
    return {
        "url": f"{'wss' if secure else 'ws'}://{request.get_host()}{path}",
        "origin": origin,
        "origin_refused": refused,
        "allowed_origins": [
            _own_origin(scope),
            *settings.CSRF_TRUSTED_ORIGINS,
            *realtime_settings.ALLOWED_ORIGINS,
        ],
        "user": user.get_username() if user is not None and is_signed_in else None,
        "credentials": list(realtime_settings.CREDENTIALS),
        "server": "asgi" if is_asgi else "wsgi",
        "layer": _layer(),
        "problems": problems + [_sentence(message) for message in _mistakes()],
    }


def _origin_of_page(request: HttpRequest) -> str:
    given = request.headers.get("Origin") or request.GET.get("origin")
    if given:
        return given
    # Browsers leave the Origin out of a GET to the own site.
    try:
        page = urlsplit(request.headers.get("Referer", ""))
    except ValueError:
        return ""  # such as half of an IPv6 address
    return f"{page.scheme}://{page.netloc}" if page.netloc else ""


def _scope(request: HttpRequest) -> dict[str, Any]:
    """Return the scope that a WebSocket at the same address would have."""
    headers = [
        (name.lower().encode(), value.encode("latin-1", "replace"))
        for name, value in request.headers.items()
        if name.lower() not in ("origin", "cookie", "authorization")
    ]
    server = request.META.get("SERVER_NAME"), int(request.META.get("SERVER_PORT") or 80)
    # `scheme` would be what SECURE_PROXY_SSL_HEADER says, which is read from the header again.
    scheme = getattr(request, "_get_scheme")()  # noqa: B009 - the public name applies the header
    return {"type": "websocket", "headers": headers, "scheme": scheme, "server": server}


def _own_origin(scope: dict[str, Any]) -> str:
    try:
        return Handshake(scope).own_origin
    except DisallowedHost:
        return ""


def _layer() -> str:
    try:
        return type(get_layer()).__name__
    except Exception:
        return ""  # the checks say why


def _mistakes() -> list[CheckMessage]:
    found = [message for check in checks.ALL for message in check()]
    return [message for message in found if not message.is_silenced()]


def _sentence(message: CheckMessage) -> str:
    return " ".join(filter(None, (message.msg, message.hint and f"{message.hint} ({message.id})")))

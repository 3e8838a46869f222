"""The address of event streams, where nothing serves them."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse

_HINT = (
    "Event streams need an ASGI server, and an asgi.py that passes HTTP through "
    "realtime.routing.http_application."
)


def not_served(request: HttpRequest) -> JsonResponse:
    """`http_application` in `realtime.routing` serves this address before Django does."""
    response = JsonResponse({"detail": _HINT, "code": "not_available"}, status=501)
    response["Cache-Control"] = "no-store"
    return response

"""The page that describes the rooms, functions and messages of the site, and its AsyncAPI twin."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ..codes import CloseCode, Error
from ..developers import for_developers
from . import asyncapi, catalogue


@require_safe
@never_cache
@for_developers
def page(request: HttpRequest) -> HttpResponse:
    """GET: the documentation for people."""
    context = {
        "catalogue": catalogue.read(),
        "errors": [each for each in vars(Error).values() if isinstance(each, Error)],
        "close_codes": list(CloseCode),
        "socket": asyncapi.socket_of(request),
        "asyncapi_url": _url("asyncapi"),
        "schema_url": _url("schema"),
    }
    return render(request, "realtime/documentation.html", context)


@require_safe
@never_cache
@for_developers
def document(request: HttpRequest) -> HttpResponse:
    """GET: the documentation for programs, in AsyncAPI 3."""
    return JsonResponse(asyncapi.document(catalogue.read(), asyncapi.socket_of(request)))


def _url(name: str) -> str:
    try:
        return reverse(f"realtime:{name}")
    except NoReverseMatch:
        return ""

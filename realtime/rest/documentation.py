"""The page that describes the rooms, functions and messages of the site, and its AsyncAPI twin."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ..codes import CloseCode, Error
from . import asyncapi, catalogue

View = Callable[..., HttpResponse]


def for_developers(view: View) -> View:
    """Answer only under `DEBUG`, or for staff: the names of rules are nobody else's business."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user: Any = getattr(request, "user", None)
        is_staff = user is not None and user.is_active and getattr(user, "is_staff", False)
        if not (settings.DEBUG or is_staff):
            raise Http404
        return view(request, *args, **kwargs)

    return wrapper


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

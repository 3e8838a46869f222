"""Whom the pages for developers answer: everybody under `DEBUG`, and always staff."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse

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

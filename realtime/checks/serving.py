"""How the site is served: `runserver`, the ASGI application, and the URLs of this app."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.management import get_commands
from django.urls import URLResolver, get_resolver

from . import asgi_source

_ASGI_HINT = (
    "`manage.py realtime init` prints an asgi.py, and docs/setup.md has one beside other consumers."
)
# Their `runserver` is that of Django, which serves WSGI.
_WSGI_RUNSERVERS = (
    "django.core",
    "django.contrib.staticfiles",
    "whitenoise.runserver_nostatic",
)


def check_runserver(**kwargs: Any) -> list[CheckMessage]:
    """Report a development server that answers WebSockets with 404."""
    if not settings.DEBUG or get_commands().get("runserver") not in _WSGI_RUNSERVERS:
        return []
    is_there = apps.is_installed("daphne")
    return [
        Warning(
            "`runserver` serves no WebSockets: daphne is "
            + ("behind an app with another runserver." if is_there else "not in INSTALLED_APPS."),
            hint='Put "daphne" first in INSTALLED_APPS, and set ASGI_APPLICATION. If you start an '
            "ASGI server yourself, silence this warning.",
            id="realtime.W015",
        )
    ]


def check_asgi_application(**kwargs: Any) -> list[CheckMessage]:
    """Report an ASGI application that is missing, or has no sockets of ours.

    Its file is read, not imported: it sets the site up, and may start what `check` must not start.
    """
    path = getattr(settings, "ASGI_APPLICATION", None)
    if not path:
        if not apps.is_installed("daphne"):
            return []  # another server gets its path on the command line
        return [
            Warning(
                "ASGI_APPLICATION is not set, so `runserver` can't serve WebSockets.",
                hint='Set it to the path of yours, such as "mysite.asgi.application". '
                f"{_ASGI_HINT}",
                id="realtime.W016",
            )
        ]
    module, _, name = path.rpartition(".")
    if not asgi_source.defines(module, name):
        return [
            Error(
                f"ASGI_APPLICATION is {path!r}, but there is no such module, or no {name!r} in it.",
                hint=_ASGI_HINT,
                id="realtime.E017",
            )
        ]
    if not asgi_source.leads_to_us(module):
        return [
            Warning(
                f"The ASGI application {path!r} has no WebSockets of this app.",
                hint="Add `websocket_application` or `websocket_urlpatterns` from "
                f"realtime.routing. {_ASGI_HINT}",
                id="realtime.W017",
            )
        ]
    return []


def check_urls(**kwargs: Any) -> list[CheckMessage]:
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    try:
        if _is_included(get_resolver()):
            return []
    except Exception:
        return []  # a mistake in the URLs of the site, which Django reports
    return [
        Warning(
            "realtime.urls is not in the URLs of the site: tickets, tokens and the list of rooms "
            "answer 404.",
            hint='Add path("realtime/", include("realtime.urls")) to the urlpatterns of '
            f"{settings.ROOT_URLCONF}.",
            id="realtime.W018",
        )
    ]


def _is_included(resolver: URLResolver) -> bool:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            module = getattr(pattern.urlconf_module, "__name__", "")
            if module == "realtime.urls" or _is_included(pattern):
                return True
    return False

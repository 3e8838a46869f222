"""`{% realtime_script %}`: the script element of the browser client."""

from __future__ import annotations

from django import template
from django.conf import settings
from django.http import HttpRequest
from django.template import Context
from django.templatetags.static import static
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ..conf import realtime_settings

register = template.Library()


@register.simple_tag(takes_context=True)
def realtime_script(context: Context, *, nonce: object = None, url: str = "") -> SafeString:
    """Render the script element of the browser client, which makes `window.realtime`.

    `nonce` is that of the Content-Security-Policy; by default, the one that Django 6 or django-csp
    has made for the request. `url` is the address of the WebSocket; by default, on this site.
    """
    request: HttpRequest | None = context.get("request")
    nonce = nonce if nonce is not None else _nonce_of(context, request)
    attributes = {
        "src": static("realtime/client.js"),
        # Reading a lazy nonce makes it part of the policy; it is false until then.
        "nonce": "" if nonce is None else str(nonce),
        "data-url": url or get_script_prefix() + _path().lstrip("/"),
        **(_debug_attributes(request) if settings.DEBUG else {}),
    }
    given = format_html_join("", ' {}="{}"', [pair for pair in attributes.items() if pair[1]])
    return format_html('<script type="module" data-realtime{}></script>', given)


def _path() -> str:
    return str(getattr(realtime_settings, "PATH", "ws/"))


def _nonce_of(context: Context, request: HttpRequest | None) -> object:
    if (nonce := context.get("csp_nonce")) is not None:
        return nonce
    return getattr(request, "csp_nonce", None)


def _debug_attributes(request: HttpRequest | None) -> dict[str, str]:
    """What the client needs to give advice in the console of a developer."""
    try:
        diagnosis = reverse("realtime:diagnosis")
    except NoReverseMatch:
        diagnosis = ""
    user = getattr(request, "user", None)
    return {
        "data-debug": "1",
        "data-diagnosis": diagnosis,
        "data-user": user.get_username() if user is not None else "",
    }

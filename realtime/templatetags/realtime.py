"""`{% realtime_script %}`, the browser client, and `{% live %}`, an element that follows a room."""

from __future__ import annotations

from typing import Any

import django
from django import template
from django.conf import settings
from django.http import HttpRequest
from django.template import Context
from django.templatetags.static import static
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ..conf import realtime_settings
from ..fragments.elements import live_element
from ..server_api.personal import user_room

register = template.Library()


@register.simple_tag(takes_context=True)
def realtime_script(
    context: Context, *, user: Any = None, nonce: object = None, url: str = ""
) -> SafeString:
    """Render the script element of the browser client, which makes `window.realtime`.

    `nonce` is that of the Content-Security-Policy; by default, the one that Django 6 or django-csp
    has made for the request. `url` is the address of the WebSocket; by default, on this site. With
    a `user`, `realtime.user` is the personal room of this user; it is null for visitors.
    """
    request: HttpRequest | None = context.get("request")
    context.render_context[_HAS_SCRIPT] = True
    nonce = nonce if nonce is not None else _nonce_of(context, request)
    # Reading a lazy nonce makes it part of the policy; it is false until then.
    given = "" if nonce is None else str(nonce)
    script = _script(
        "data-realtime",
        {
            "src": static("realtime/client.js"),
            "nonce": given,
            "data-url": url or _address(),
            "data-user-room": user_room(user) if getattr(user, "pk", None) is not None else "",
            "data-debug": "1" if settings.DEBUG else "",
        },
    )
    return script + _advice(request, given) if settings.DEBUG else script


@register.simple_tag(takes_context=True)
def live(
    context: Context,
    room: str,
    *,
    template: str | None = None,
    tag: str = "div",
    **attributes: object,
) -> SafeString:
    """Render a template with the context of the page, in an element that follows `room`, a name
    such as "stock/{product.pk}".

    `publish_html(room, template, …)` and models with `@broadcasts(…, template=…)` render it again.
    Without a template the element is empty: the page shows what is published with a target.
    `tag` is the name of the element, such as "tbody"; `id`, `class` and others are its attributes,
    with dashes for underscores.
    """
    element = live_element(context, room, template, tag, attributes)
    if settings.DEBUG and not context.render_context.get(_HAS_SCRIPT):
        return _NO_SCRIPT_YET + element
    return element


_HAS_SCRIPT = "realtime_script"
_NO_SCRIPT_YET = SafeString(
    "<!-- realtime: this changes by itself on a page with {% realtime_script %}; "
    "none has come yet -->"
)


def _script(mark: str, attributes: dict[str, str]) -> SafeString:
    given = format_html_join("", ' {}="{}"', [pair for pair in attributes.items() if pair[1]])
    return format_html('<script type="module" {}{}></script>', mark, given)


def _address() -> str:
    """The path of the socket, below that of the site."""
    path: str = realtime_settings.PATH
    return get_script_prefix() + path.strip("/") + "/"


def _nonce_of(context: Context, request: HttpRequest | None) -> object:
    if (nonce := context.get("csp_nonce")) is not None:
        return nonce
    nonce = getattr(request, "csp_nonce", None)
    if nonce is not None or request is None or django.VERSION < (6, 0):
        return nonce
    from django.middleware.csp import get_nonce

    return get_nonce(request)


def _advice(request: HttpRequest | None, nonce: str) -> SafeString:
    """Render the script that gives advice in the console of a developer."""
    try:
        diagnosis = reverse("realtime:diagnosis")
    except NoReverseMatch:
        diagnosis = ""
    user = getattr(request, "user", None)
    return _script(
        "data-realtime-advice",
        {
            "src": static("realtime/advice.js"),
            "nonce": nonce,
            "data-diagnosis": diagnosis,
            "data-user": user.get_username() if user is not None else "",
        },
    )

"""The page, and the two requests that are its own: to sign out, and to ask for one's rights."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ..authentication import user_label
from ..conf import realtime_settings
from ..developers import for_developers
from ..rights.backend import ACTIONS
from ..rights.explanation import Explanation, explain
from . import modules

_NO_URLS = (
    "This page lists rooms by realtime.urls, which is not mounted: add "
    'path("realtime/", include("realtime.urls")) to the URLs of the site.'
)
_NO_SESSIONS = (
    'This page connects by the session, and REALTIME["CREDENTIALS"] leaves "session" out.'
)


class SignInForm(AuthenticationForm):
    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": _("That name and password don’t fit together."),
    }


# Staff of a site without DEBUG are signed in already, by the site's own rules.
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@csrf_protect
@for_developers
def page(request: HttpRequest) -> HttpResponse:
    """GET: the playground, or the form to sign in. POST, under `DEBUG`: sign in."""
    form = SignInForm(request, label_suffix="")
    if request.method == "POST":
        _require_debug()
        form = SignInForm(request, data=request.POST, label_suffix="")
        if form.is_valid():
            login(request, form.get_user())
            return redirect("realtime_playground:page")
    user: Any = getattr(request, "user", None)
    is_signed_in = user is not None and user.is_authenticated
    import_map = modules.import_map()
    context = {
        "form": form if settings.DEBUG else None,
        "name": user_label(user) if is_signed_in else "",
        "user_id": user.pk if is_signed_in else "",
        "import_map": import_map,
        "problems": _problems(),
        "rooms_url": _url("realtime:rooms"),
        "docs_url": _url("realtime:docs"),
        "admin_url": _url("admin:index"),
        "diagnosis_url": _url("realtime:diagnosis") if settings.DEBUG else "",
    }
    response = render(request, "realtime/playground/page.html", context)
    response["Content-Security-Policy"] = modules.content_security_policy(import_map)
    return response


@require_POST
@csrf_protect
@for_developers
def sign_out(request: HttpRequest) -> HttpResponse:
    """POST, under `DEBUG`: end the session, and with it its connections."""
    _require_debug()
    logout(request)
    return redirect("realtime_playground:page")


@require_safe
@never_cache
@for_developers
def explanations(request: HttpRequest) -> HttpResponse:
    """GET: what the user of the session may do in `room`, and by which rules."""
    room = request.GET.get("room", "")
    found = [explain(request.user, room, action) for action in ACTIONS]
    return JsonResponse({"actions": [_described(explanation) for explanation in found]})


def _described(explanation: Explanation) -> dict[str, Any]:
    return {
        "action": explanation.action,
        "allowed": explanation.allowed,
        "sentence": explanation.sentence,
        "rules": [
            {
                "label": str(rule.label),
                "verdict": str(rule.verdict.label),
                "source": str(rule.source),
                "is_part": bool(rule.part_of),
            }
            for rule in explanation.rules
        ],
    }


def _problems() -> list[str]:
    """Return what hinders the page on this site, in sentences."""
    has_session = "session" in realtime_settings.CREDENTIALS
    return [
        *([] if _url("realtime:rooms") else [_NO_URLS]),
        *([] if has_session else [_NO_SESSIONS]),
    ]


def _require_debug() -> None:
    if not settings.DEBUG:
        raise Http404


def _url(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""

"""The page that explains why a user may do something in a room, or may not. Read only."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.utils.translation import gettext as _

from ..models import Room
from ..rights.explanation import Explanation, explain
from ..rights.verdicts import Rule, Verdict
from . import cells
from .forms import ExplainForm
from .trail import trail

TEMPLATE = "admin/realtime/room/explain.html"
_ICONS = {Verdict.YES: "yes", Verdict.NO: "no", Verdict.NO_DECISION: "unknown"}


def explain_page(model_admin: Any, request: HttpRequest) -> HttpResponse:
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    name = request.GET.get("room", "")
    # With the room alone, somebody comes from its page and has not asked yet.
    is_asked = "user" in request.GET
    form = ExplainForm(request.GET) if is_asked else ExplainForm(initial={"room": name})
    if not is_asked:
        form.fields["user"].widget.attrs["autofocus"] = True
    explanation = _explained(form) if is_asked and form.is_valid() else None
    room = Room.objects.filter(name=name).first()
    site, title = model_admin.admin_site, _("Explain rights")
    links = cells.Links(request, site)
    links.know_rooms([name] if room else [])
    pages = [(room, links.room(name))] if room else []
    context = {
        **site.each_context(request),
        **trail(site, model_admin.opts, *pages, (title, "")),
        "title": title,
        "subtitle": str(room) if room else None,
        "opts": model_admin.opts,
        "media": model_admin.media,
        "form": form,
        "explanation": explanation,
        "rules": [_described(rule) for rule in explanation.rules] if explanation else [],
    }
    request.current_app = site.name
    return TemplateResponse(request, TEMPLATE, context)


def _explained(form: ExplainForm) -> Explanation:
    asked = form.cleaned_data
    return explain(asked["user"], asked["room"], asked["action"], asked["scope"] or None)


def _described(rule: Rule) -> dict[str, Any]:
    icon = _ICONS.get(rule.verdict)
    return {
        "label": rule.label,
        "verdict": rule.verdict.label,
        "icon": static(f"admin/img/icon-{icon}.svg") if icon else "",
        "source": rule.source,
        "is_part": bool(rule.part_of),
    }

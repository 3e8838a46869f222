"""The page between choosing people and doing something to them: it says whom it concerns, asks for
what is needed, and only a confirmed POST does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import SEARCH_VAR
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..exceptions import LayerUnavailable
from ..layers.records import Connection
from . import cells
from .actions import Action, Disconnect, Notify
from .listing import Filter, Listing, Person, people
from .room_actions import Mute, Remove
from .trail import trail

ACTIONS: dict[str, Action[Any]] = {
    "disconnect": Disconnect(),
    "mute": Mute(),
    "remove": Remove(),
    "notify": Notify(),
}
TEMPLATE = "admin/realtime/connection/confirmation.html"


@dataclass(frozen=True, slots=True)
class Choice:
    """The connections that were chosen, and how many of them have ended since then."""

    connections: list[Connection]
    gone: int = 0

    @classmethod
    def of(cls, request: HttpRequest) -> Choice:
        """Named one by one, or all that a list is narrowed to."""
        listing = Listing.of(request)
        wanted = Filter.of(request.GET, request.GET.get(SEARCH_VAR, ""))
        if request.method == "POST" and request.POST.get("select_across") == "1":
            return cls(listing.matching(wanted))
        if request.method != "POST":
            return cls([] if wanted == Filter() else listing.matching(wanted))
        clients = set(request.POST.get("clients", "").split())
        clients.update(request.POST.getlist(ACTION_CHECKBOX_NAME))
        found = [connection for connection in listing.connections if connection.client in clients]
        return cls(found, len(clients) - len(found))


def confirm(model_admin: Any, request: HttpRequest, name: str) -> HttpResponse:
    """Ask; after the confirmation, do it and go back to the page it was started from."""
    action = ACTIONS.get(name)
    if action is None:
        raise Http404
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponseNotAllowed(["GET", "POST"])
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    is_confirmed = request.method == "POST" and "confirmed" in request.POST
    action.check(request, request.POST if is_confirmed else {})
    back = _way_back(model_admin, request)
    choice = Choice.of(request)
    if not choice.connections:
        problem = Listing.of(request).problem
        messages.warning(request, problem or _("Nobody who was chosen is connected any more."))
        return HttpResponseRedirect(back)
    persons = people(choice.connections)
    data = request.POST if is_confirmed else None
    form = action.form(request, persons, data, request.GET.get("room", ""))
    if form is None or not form.is_valid():
        return _ask(model_admin, request, name, choice, persons, form, back)
    if choice.gone:
        messages.warning(request, _gone(choice.gone))
    try:
        action.perform(request, persons, form.cleaned_data)
    except LayerUnavailable:
        sentence = _("Redis does not answer. What was done until then is in the admin's log.")
        messages.error(request, sentence)
    return HttpResponseRedirect(back)


def _ask(
    model_admin: Any,
    request: HttpRequest,
    name: str,
    choice: Choice,
    persons: list[Person],
    form: Any,
    back: str,
) -> HttpResponse:
    site, action = model_admin.admin_site, ACTIONS[name]
    links = cells.Links(request, site)
    context = {
        **site.each_context(request),
        **trail(site, model_admin.opts, (action.title, "")),
        "title": action.title,
        "opts": model_admin.opts,
        "media": model_admin.media,
        "action": action,
        "form": form,
        "remarks": action.remarks(persons),
        "persons": [_described(person, links) for person in persons],
        "gone": _gone(choice.gone) if choice.gone else "",
        "clients": " ".join(connection.client for connection in choice.connections),
        "confirm_url": links.confirmation(name),
        "back": back,
    }
    request.current_app = site.name
    return TemplateResponse(request, TEMPLATE, context)


def _described(person: Person, links: cells.Links) -> dict[str, Any]:
    return {
        "name": cells.link(links.user(person.user_id), person),
        "connections": [
            {
                "app": connection.app,
                "address": connection.address,
                "since": cells.moment(connection.since),
                "rooms": connection.rooms,
            }
            for connection in person.connections
        ],
    }


def _gone(count: int) -> str:
    sentence = ngettext(
        "%d of the chosen connections has ended in the meantime.",
        "%d of the chosen connections have ended in the meantime.",
        count,
    )
    return sentence % count


def _way_back(model_admin: Any, request: HttpRequest) -> str:
    """The page from which the action was started, if it is one of this site."""
    asked = request.POST.get("next") or request.GET.get("next", "")
    host, is_secure = {request.get_host()}, request.is_secure()
    if url_has_allowed_host_and_scheme(asked, allowed_hosts=host, require_https=is_secure):
        return asked
    list_url = reverse(cells.LIST, current_app=model_admin.admin_site.name)
    return request.get_full_path() if request.path == list_url else list_url

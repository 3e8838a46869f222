"""Panels with live connections, on the pages of users and rooms."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..layers.records import Connection as LiveConnection
from ..models import Connection
from . import cells
from .confirmation import ACTIONS
from .listing import Listing, people
from .room_actions import moderated

SHOWN = 50
_FIELD = "live_connections"

if TYPE_CHECKING:
    _Base = admin.ModelAdmin[Any]
else:
    _Base = object


@dataclass(frozen=True, slots=True)
class Question:
    """What a panel is about: a form that is refused has put its own values into the object."""

    request: HttpRequest
    name: str


class LivePanel(_Base):
    """A read-only part of a change form, for who may see the live connections."""

    panel_title = _("Live connections")
    panel_template = ""

    class Media:
        css: ClassVar = {"all": ["realtime/admin.css"]}

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = list(super().get_fieldsets(request, obj))
        if obj is None:
            return fieldsets
        # What shows the field gets the object alone.
        if not hasattr(obj, "_realtime_question"):
            obj._realtime_question = Question(request, self.panel_name(obj))
        is_offered = self.admin_site.is_registered(Connection)
        if not is_offered or not request.user.has_perm("realtime.view_connection"):
            return fieldsets
        panel = (self.panel_title, {"fields": (_FIELD,), "classes": ("realtime-panel",)})
        return [*fieldsets[:1], panel, *fieldsets[1:]]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*super().get_readonly_fields(request, obj), _FIELD)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Without fieldsets of its own, an admin shows all read-only fields once more.
        return [name for name in super().get_fields(request, obj) if name != _FIELD]

    @admin.display(description=_("now"))
    def live_connections(self, obj: Any) -> SafeString:
        question: Question = obj._realtime_question
        listing = Listing.of(question.request)
        context: dict[str, Any] = {"problem": listing.problem, "is_local": listing.is_local}
        if not listing.problem:
            context |= self.panel_context(question, obj, listing)
        return render_to_string(self.panel_template, context)

    def panel_name(self, obj: Any) -> str:
        raise NotImplementedError

    def panel_context(self, question: Question, obj: Any, listing: Listing) -> dict[str, Any]:
        raise NotImplementedError


class LiveConnectionsMixin(LivePanel):
    """Shows the connections of a user on the user's page in the admin.

    class UserAdmin(LiveConnectionsMixin, django.contrib.auth.admin.UserAdmin): ...
    """

    panel_template = "admin/realtime/user_panel.html"

    def panel_name(self, obj: Any) -> str:
        return str(obj.get_username())

    def panel_context(self, question: Question, obj: Any, listing: Listing) -> dict[str, Any]:
        request, user = question.request, str(obj.pk)
        found = [connection for connection in listing.connections if connection.user == user]
        names = sorted({name for connection in found for name in connection.rooms})
        links = cells.Links(request, self.admin_site)
        links.know_rooms(names)
        in_rooms = ("mute", "remove") if moderated(request.user, names) else ()
        return {
            "count": len(found),
            "connections": [_row(connection, listing, links) for connection in found[:SHOWN]],
            "more": max(len(found) - SHOWN, 0),
            "explanations": _explanations(question.name, names, links),
            "buttons": _buttons(request, links, in_rooms, user=user),
            "list_url": links.connections(user=user),
        }


class RoomPanel(LivePanel):
    """Shows who is in a room on the room's page."""

    panel_title = _("In the room now")
    panel_template = "admin/realtime/room_panel.html"

    def panel_name(self, obj: Any) -> str:
        return str(obj.name)

    def panel_context(self, question: Question, obj: Any, listing: Listing) -> dict[str, Any]:
        request, name = question.request, question.name
        found = [connection for connection in listing.connections if name in connection.rooms]
        persons = [person for person in people(found) if person.user_id]
        links = cells.Links(request, self.admin_site)
        in_room = ("mute", "remove") if moderated(request.user, [name]) else ()
        return {
            "count": len(found),
            "people_count": len(persons),
            "unknown": sum(not connection.user for connection in found),
            "people": [
                {
                    "name": str(person),
                    "address": links.user(person.user_id),
                    "count": len(person.connections),
                    "since": cells.moment(person.since),
                    "buttons": _buttons(request, links, in_room, room=name, user=person.user_id),
                }
                for person in persons[:SHOWN]
            ],
            "more": max(len(persons) - SHOWN, 0),
            "buttons": _buttons(request, links, in_room, room=name),
            "list_url": links.connections(room=name),
        }


def _row(connection: LiveConnection, listing: Listing, links: cells.Links) -> dict[str, Any]:
    return {
        "since": cells.moment(connection.since),
        "app": cells.client_name(connection),
        "address": connection.address,
        "rooms": cells.room_links(connection.rooms, links),
        "process": cells.process_lines(listing.process_of(connection), links),
    }


def _explanations(username: str, names: list[str], links: cells.Links) -> list[dict[str, str]]:
    asked = ((name, links.explanation(room=name, user=username, action="join")) for name in names)
    return [{"room": name, "address": address} for name, address in asked if address]


def _buttons(
    request: HttpRequest, links: cells.Links, in_rooms: Collection[str], **whom: str
) -> list[dict[str, Any]]:
    """What may be done to `whom`: links to the pages that ask for it."""
    for_all = [name for name in ("disconnect", "notify") if ACTIONS[name].is_offered(request)]
    back = {"next": request.get_full_path()}
    return [
        {
            "title": action.verb if "room" in whom else action.title,
            "address": links.confirmation(name, **whom, **back),
        }
        for name, action in ACTIONS.items()
        if name in for_all or name in in_rooms
    ]

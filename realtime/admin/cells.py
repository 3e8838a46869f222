"""Table cells of the lists of connections: links, times, sizes.

Clients and users have chosen many of these texts, so everything is escaped except the HTML that
is made here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.contrib.auth import get_user_model
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.db.models import Model
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from ..layers.records import Connection, Process
from ..models import Membership, Room

SHOWN_ROOMS = 5
LIST = "admin:realtime_connection_changelist"
CONFIRMATION = "admin:realtime_connection_confirm"
EXPLANATION = "admin:realtime_room_explain"


class Links:
    """URLs within one admin site, for one viewer; "" for pages that the viewer may not see."""

    def __init__(self, request: HttpRequest, site: AdminSite) -> None:
        self._request = request
        self._site = site
        self._user_model = get_user_model()
        self._sees_users = self._may_see(self._user_model)
        self._sees_rooms = self._may_see(Room)
        # Not if the site has an admin of rooms that is all its own.
        self._explains = self._sees_rooms and hasattr(site.get_model_admin(Room), "explain_view")
        self._rooms: dict[str, Any] = {}

    def know_rooms(self, names: Iterable[str]) -> None:
        """Find out which of these rooms are in the database: one query."""
        if self._sees_rooms and (wanted := set(names) - self._rooms.keys()):
            found = Room.objects.filter(name__in=wanted).values_list("name", "pk")
            self._rooms |= dict.fromkeys(wanted) | dict(found)

    def user(self, user_id: str) -> str:
        return self._page(self._user_model, user_id) if self._sees_users and user_id else ""

    def room(self, name: str) -> str:
        pk = self._rooms.get(name)
        return "" if pk is None else self._page(Room, pk)

    def connections(self, **filters: str) -> str:
        return self._address(LIST, filters)

    def confirmation(self, action: str, **filters: str) -> str:
        return self._address(CONFIRMATION, filters, action)

    def explanation(self, **fields: str) -> str:
        return self._address(EXPLANATION, fields) if self._explains else ""

    def memberships(self, room: Any) -> str:
        """The address of the list of the roles in a room, by the primary key of the room."""
        return memberships_url(self._site, room) if self._may_see(Membership) else ""

    def _may_see(self, model: type[Model]) -> bool:
        if not self._site.is_registered(model):
            return False
        model_admin = self._site.get_model_admin(model)
        return bool(model_admin.has_view_or_change_permission(self._request))

    def _page(self, model: type[Model], pk: Any) -> str:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
        return reverse(name, args=[quote(pk)], current_app=self._site.name)

    def _address(self, name: str, params: dict[str, str], *args: str) -> str:
        path = reverse(name, args=args, current_app=self._site.name)
        return f"{path}?{urlencode(params)}" if params else path


def memberships_url(site: AdminSite, room: Any) -> str:
    path = reverse("admin:realtime_membership_changelist", current_app=site.name)
    return f"{path}?{urlencode({'room__id__exact': room})}"


def link(address: str, text: object) -> str | SafeString:
    """`text`, as a link if there is an address."""
    return format_html('<a href="{}">{}</a>', address, text) if address else str(text)


def quiet(text: object) -> SafeString:
    return format_html('<span class="quiet">{}</span>', text)


def two_lines(first: object, second: object) -> SafeString:
    return format_html('{}<div class="realtime-small">{}</div>', first, second)


def room_links(names: list[str], links: Links) -> SafeString:
    """The first rooms, and the others behind a button."""
    shown = [(link(links.room(name), name),) for name in names]
    first = format_html_join(" ", '<span class="realtime-room">{}</span>', shown[:SHOWN_ROOMS])
    if len(shown) <= SHOWN_ROOMS:
        return first
    rest = format_html_join(" ", '<span class="realtime-room">{}</span>', shown[SHOWN_ROOMS:])
    more = _("%d more") % (len(shown) - SHOWN_ROOMS)
    return format_html("{}<details><summary>{}</summary>{}</details>", first, more, rest)


def moment(seconds: float | None) -> SafeString:
    """A time as people say it, with the exact one in its title."""
    when = as_datetime(seconds)
    if when is None:
        return quiet("–")
    exact = when.strftime("%Y-%m-%d %H:%M:%S %Z").strip()
    words = naturaltime(when)
    return format_html('<time datetime="{}" title="{}">{}</time>', when.isoformat(), exact, words)


def as_datetime(seconds: float | None) -> datetime | None:
    """A Unix time in the site's time zone; None for one that no calendar has."""
    if seconds is None:
        return None
    try:
        if not settings.USE_TZ:
            return datetime.fromtimestamp(seconds)
        return localtime(datetime.fromtimestamp(seconds, UTC))
    except (OverflowError, ValueError, OSError):
        return None


def size(count: int) -> SafeString:
    return format_html("{}", filesizeformat(count)) if count else quiet(filesizeformat(0))


def client_name(connection: Connection) -> SafeString:
    return two_lines(connection.app or "–", connection.protocol)


def process_name(process: Process) -> str:
    return f"{process.host} · {process.pid} · {process.server}"


def process_lines(process: Process | None, links: Links) -> SafeString:
    """The process, with a link to all connections that it has."""
    if process is None:
        return quiet("–")
    host = link(links.connections(process=process.id), process.host)
    return two_lines(host, f"{process.pid} · {process.server}")

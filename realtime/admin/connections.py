"""The page "Live connections": who is connected in all processes, and what can be done about it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..models import Connection
from . import cells
from .changelist import ConnectionList
from .confirmation import ACTIONS, confirm
from .listing import Filter, Listing


@admin.register(Connection)
class ConnectionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        *("user", "since", "address", "app"),
        *("rooms", "expires", "unsent", "process"),
    )
    list_display_links = None
    list_per_page = 100
    list_max_show_all = 1_000
    search_fields = ("client",)
    search_help_text = _("Name or id of a user, address, room, client or its id.")
    actions = tuple(ACTIONS)

    class Media:
        css: ClassVar = {"all": ["realtime/admin.css"]}

    def get_urls(self) -> list[URLPattern]:
        def view(function: Any) -> Any:
            return self.admin_site.admin_view(function)

        return [
            path("", view(self.changelist_view), name="realtime_connection_changelist"),
            path("<str:action>/", view(self.confirm_view), name="realtime_connection_confirm"),
        ]

    # Permissions

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_disconnect_permission(self, request: HttpRequest) -> bool:
        return ACTIONS["disconnect"].is_offered(request)

    def has_mute_permission(self, request: HttpRequest) -> bool:
        return ACTIONS["mute"].is_offered(request)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return ACTIONS["remove"].is_offered(request)

    def has_notify_permission(self, request: HttpRequest) -> bool:
        return ACTIONS["notify"].is_offered(request)

    # The list

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConnectionList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        action = ACTIONS.get(request.POST.get("action", ""))
        if action is not None and not action.is_offered(request):
            raise PermissionDenied
        listing = Listing.of(request)
        context = {
            "title": capfirst(str(self.opts.verbose_name_plural)),
            "listing": listing,
            "read_at": cells.as_datetime(listing.read_at),
            "totals": {
                "connections": len(listing.connections),
                "people": len(
                    {connection.user for connection in listing.connections if connection.user}
                ),
                "processes": len(listing.processes),
            },
            "processes": _processes(request, listing),
            "filters": _filters(request, listing),
            "refresh_url": request.get_full_path(),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def confirm_view(self, request: HttpRequest, action: str) -> HttpResponse:
        return confirm(self, request, action)

    # What the list offers; by now somebody has been chosen

    @admin.action(permissions=["disconnect"], description=ACTIONS["disconnect"].title)
    def disconnect(self, request: HttpRequest, queryset: Any) -> HttpResponse:
        return confirm(self, request, "disconnect")

    @admin.action(permissions=["mute"], description=ACTIONS["mute"].title)
    def mute(self, request: HttpRequest, queryset: Any) -> HttpResponse:
        return confirm(self, request, "mute")

    @admin.action(permissions=["remove"], description=ACTIONS["remove"].title)
    def remove(self, request: HttpRequest, queryset: Any) -> HttpResponse:
        return confirm(self, request, "remove")

    @admin.action(permissions=["notify"], description=ACTIONS["notify"].title)
    def notify(self, request: HttpRequest, queryset: Any) -> HttpResponse:
        return confirm(self, request, "notify")

    # The columns

    @admin.display(description=_("user"), ordering="user")
    def user(self, row: Any) -> SafeString:
        live = row.live
        name: object = cells.quiet(gettext("not signed in"))
        if live.user:
            name = cells.link(row.links.user(live.user), live.name)
        return cells.two_lines(name, format_html('<span title="{0}">{0:.8}</span>', live.client))

    @admin.display(description=_("connected"), ordering="since")
    def since(self, row: Any) -> SafeString:
        return _cell(gettext("connected"), cells.moment(row.live.since))

    @admin.display(description=_("address"), ordering="address")
    def address(self, row: Any) -> SafeString:
        return _cell(gettext("address"), row.live.address)

    @admin.display(description=_("client"), ordering="app")
    def app(self, row: Any) -> SafeString:
        return _cell(gettext("client"), cells.client_name(row.live))

    @admin.display(description=_("rooms"))
    def rooms(self, row: Any) -> SafeString:
        return _cell(gettext("rooms"), cells.room_links(row.live.rooms, row.links))

    @admin.display(description=_("token expires"), ordering="expires")
    def expires(self, row: Any) -> SafeString:
        return _cell(gettext("token expires"), cells.moment(row.live.expires_at))

    @admin.display(description=_("unsent"), ordering="unsent")
    def unsent(self, row: Any) -> SafeString:
        return _cell(gettext("unsent"), cells.size(row.live.unsent_bytes))

    @admin.display(description=_("process"), ordering="process")
    def process(self, row: Any) -> SafeString:
        return _cell(gettext("process"), cells.process_lines(row.process, row.links))


def _cell(label: str, value: object) -> SafeString:
    """A cell that says what it is where the table has no columns, on a phone."""
    shown = value or cells.quiet("–")
    return format_html(
        '<div class="realtime-cell"><span class="realtime-label">{}</span><div>{}</div></div>',
        capfirst(label),
        shown,
    )


def _processes(request: HttpRequest, listing: Listing) -> list[dict[str, Any]]:
    return [
        {
            "name": cells.process_name(process),
            "version": process.version,
            "started": cells.moment(process.started_at),
            "count": listing.counts[key],
            "address": _with(request, process=key),
            "is_chosen": request.GET.get("process") == key,
        }
        for key, process in listing.processes.items()
    ]


def _filters(request: HttpRequest, listing: Listing) -> list[dict[str, Any]]:
    """Those of the page's address, each with the address of the page without it."""
    wanted = Filter.of(request.GET)
    names = (
        connection.name for connection in listing.connections if connection.user == wanted.user
    )
    process = listing.processes.get(wanted.process)
    shown = {
        "user": (gettext("user"), next(names, wanted.user)),
        "room": (gettext("room"), wanted.room),
        "process": (gettext("process"), cells.process_name(process) if process else wanted.process),
    }
    return [
        {"label": label, "value": value, "without": _with(request, **{key: ""})}
        for key, (label, value) in shown.items()
        if value
    ]


def _with(request: HttpRequest, **changed: str) -> str:
    """The address of the first page of the list with other filters; "" takes one off."""
    params = request.GET.copy()
    for key, value in {PAGE_VAR: "", **changed}.items():
        params.pop(key, None)
        if value:
            params[key] = value
    return "?" + params.urlencode()

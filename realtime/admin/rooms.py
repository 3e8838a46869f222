"""Rooms and roles, with who is there now and why they may."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from .. import user_models
from ..models import Membership, Room
from .cells import Links, link, memberships_url
from .deletion import deleted_with_rooms
from .explaining import explain_page
from .filters import ShortRelatedFilter
from .memberships import MembershipInline
from .panels import RoomPanel
from .relations import RelatedFields


@admin.register(Room)
class RoomAdmin(RelatedFields, RoomPanel, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "title", "access", "publishing", "member_count", "archived")
    list_filter = ("access", "publishing", "archived", ("groups", ShortRelatedFilter))
    search_fields = ("name", "title")
    related_fields = ("groups",)
    inlines = (MembershipInline,)
    readonly_fields = ("created_at",)
    save_on_top = True
    fieldsets = (
        (None, {"fields": ("name", "title", "archived")}),
        (
            _("Rights"),
            {
                "fields": ("access", "groups", "publishing"),
                "description": _(
                    "A membership below decides first, then the groups, then who may enter. "
                    "The permissions “Can join/publish in/moderate every room” cover all rooms, "
                    "and superusers may do everything but enter archived ones."
                ),
            },
        ),
        (_("Messages"), {"fields": ("history_size", "history_ttl_seconds", "presence")}),
        (None, {"fields": ("created_at",)}),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.explain_view)
        return [path("explain/", view, name="realtime_room_explain"), *super().get_urls()]

    def explain_view(self, request: HttpRequest) -> HttpResponse:
        """Why somebody may or may not do something in a room, also in one that is in code."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return explain_page(self, request)

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        room = context.get("original")
        if room is not None:
            links = Links(request, self.admin_site)
            context["explain_url"] = links.explanation(room=room._realtime_question.name)
            context["memberships_url"] = links.memberships(room.pk)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Room]:
        rooms: QuerySet[Room] = super().get_queryset(request)
        # Counted for the rows of a page only, and right if a filter joins other tables.
        of_room = Membership.objects.filter(room=OuterRef("pk")).order_by().values("room")
        return rooms.annotate(
            _members=Coalesce(Subquery(of_room.annotate(count=Count("pk")).values("count")), 0)
        )

    def get_list_filter(self, request: HttpRequest) -> Any:
        filters: Any = super().get_list_filter(request)
        if user_models.groups() is not None:
            return filters
        return [each for each in filters if each[0] != "groups"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if user_models.groups() is not None:
            return fieldsets
        # The users of this site are in no groups.
        return [
            (title, {**options, "fields": [it for it in options["fields"] if it != "groups"]})
            for title, options in fieldsets
        ]

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        found = deleted_with_rooms(objs, request, self.admin_site)
        return super().get_deleted_objects(objs, request) if found is None else found

    @admin.display(description=_("roles"), ordering="_members")
    def member_count(self, room: Any) -> str | SafeString:
        """The number of roles, with a link to them."""
        if not self.admin_site.is_registered(Membership):
            return str(room._members)
        return link(memberships_url(self.admin_site, room.pk), room._members)

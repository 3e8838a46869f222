"""Rooms and roles, with who is there now and why they may."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from ..models import Membership, Room
from .cells import Links
from .explaining import explain_page
from .panels import RoomPanel


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)
    fields = ("user", "role", "muted", "expires_at")


@admin.register(Room)
class RoomAdmin(RoomPanel, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "title", "access", "publishing", "member_count", "archived")
    list_filter = ("access", "publishing", "archived", "groups")
    search_fields = ("name", "title")
    autocomplete_fields = ("groups",)
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
        return super().render_change_form(request, context, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Room]:
        rooms: QuerySet[Room] = super().get_queryset(request)
        return rooms.annotate(_members=Count("memberships"))

    @admin.display(description=_("roles"), ordering="_members")
    def member_count(self, room: Any) -> int:
        members: int = room._members
        return members


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("user", "room", "role", "muted", "expires_at")
    list_filter = ("role", "muted", "room")
    list_select_related = ("user", "room")
    autocomplete_fields = ("user", "room")
    date_hierarchy = "created_at"

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        # The site's user model says what its users are found by.
        username = get_user_model().USERNAME_FIELD
        return ("room__name", "room__title", f"user__{username}")

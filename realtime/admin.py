"""Rooms and roles in the Django admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from .models import Membership, Room


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)
    fields = ("user", "role", "muted", "expires_at")


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
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

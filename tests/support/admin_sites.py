"""Admin sites that differ in what is registered, and the URLs of a site that has them all."""

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import F
from django.urls import include, path

from realtime.admin import ConnectionAdmin, LiveConnectionsMixin, MembershipAdmin, RoomAdmin
from realtime.models import Connection, Membership, Room


class UserAdminWithItsOwnSearch(LiveConnectionsMixin, UserAdmin):
    """Searches what its own queryset adds, besides a field."""

    search_fields = ("^email", "nickname")

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(nickname=F("first_name"))


def make_site(name, **others):
    site = AdminSite(name)
    site.register(Room, RoomAdmin)
    site.register(Membership, MembershipAdmin)
    site.register(Connection, ConnectionAdmin)
    for model, model_admin in others.values():
        site.register(model, model_admin)
    return site


bare = make_site("bare")
unsearchable = make_site(
    "unsearchable", users=(User, admin.ModelAdmin), groups=(Group, admin.ModelAdmin)
)
full = make_site("full", users=(User, UserAdminWithItsOwnSearch), groups=(Group, GroupAdmin))

own_rooms = AdminSite("own_rooms")
"""Has an admin of rooms that is all its own, and the live connections."""
own_rooms.register(Room, admin.ModelAdmin)
own_rooms.register(Connection, ConnectionAdmin)
own_rooms.register(User, UserAdminWithItsOwnSearch)

only_rooms = AdminSite("only_rooms")
only_rooms.register(Room, RoomAdmin)

SITES = {it.name: it for it in (bare, unsearchable, full, own_rooms, only_rooms)}
urlpatterns = [
    *[path(f"{name}/", site.urls) for name, site in SITES.items()],
    path("", include("config.urls")),
]

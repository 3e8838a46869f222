"""The panels with live connections, on the pages of users and rooms."""

import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory

from realtime.admin import LiveConnectionsMixin
from tests.support.pages import EXPLAIN, LIST, text_of

pytestmark = pytest.mark.django_db


def test_the_page_of_a_room_shows_who_is_there(admin_client, connect, alice, bob, lobby):
    connect(alice, "lobby")
    connect(alice, "lobby", process="web-2")
    connect(bob, "lobby")
    connect(None, "lobby")
    connect(User.objects.create_user("elsewhere"), "staff")
    page = admin_client.get(f"/admin/realtime/room/{lobby.pk}/change/")
    shown = text_of(page)
    assert re.search(r"alice 2 .* seconds? ago", shown)
    assert "1 connection at which nobody is signed in" in shown
    html = page.content.decode()
    assert f'href="{LIST}?room=lobby"' in html
    back = f"next=%2Fadmin%2Frealtime%2Froom%2F{lobby.pk}%2Fchange%2F"
    assert f"{LIST}mute/?room=lobby&amp;user={alice.pk}&amp;{back}" in html
    assert ">elsewhere</a>" not in html


def test_the_page_of_a_user_shows_the_connections(admin_client, connect, alice, bob, lobby):
    connect(alice, "lobby", "orders/42", app="swift 9")
    connect(bob, "lobby", app="python 7")
    page = admin_client.get(f"/admin/auth/user/{alice.pk}/change/")
    assert "swift 9" in text_of(page)
    assert "python 7" not in text_of(page)
    html = page.content.decode()
    assert f'href="{LIST}?user={alice.pk}"' in html
    assert f"{EXPLAIN}?room=orders%2F42&amp;user=alice&amp;action=join" in html


def test_the_panel_says_that_nobody_is_there(admin_client, layer, alice, lobby):
    assert "Not connected now." in text_of(admin_client.get(f"/admin/auth/user/{alice.pk}/change/"))
    page = admin_client.get(f"/admin/realtime/room/{lobby.pk}/change/")
    assert "Nobody is in the room now." in text_of(page)
    assert f"{LIST}disconnect/" not in page.content.decode()


def test_an_admin_site_without_the_console_has_no_panel(admin_user, layer):
    class UserAdmin(LiveConnectionsMixin, admin.ModelAdmin):
        pass

    request = RequestFactory().get("/")
    request.user = admin_user
    model_admin = UserAdmin(User, admin.AdminSite("another"))
    shown = [
        name
        for _, options in model_admin.get_fieldsets(request, admin_user)
        for name in options["fields"]
    ]
    assert "live_connections" not in shown


def test_many_people_are_shortened(admin_client, connect, lobby):
    for number in range(60):
        connect(User.objects.create_user(f"user-{number:02}"), "lobby")
    shown = text_of(admin_client.get(f"/admin/realtime/room/{lobby.pk}/change/"))
    assert "user-49" in shown
    assert "user-50" not in shown
    assert "10 more people" in shown


def test_pages_without_the_permission_to_see_connections_leave_them_out(
    as_staff, layer, connect, alice, lobby
):
    connect(alice, "lobby")
    browser = as_staff("view_user", "view_room")
    for address in (
        f"/admin/auth/user/{alice.pk}/change/",
        f"/admin/realtime/room/{lobby.pk}/change/",
    ):
        assert "203.0.113.7" not in text_of(browser.get(address))
        assert "In the room now" not in text_of(browser.get(address))
    assert not layer.reads


def test_a_room_is_saved_with_the_panel_on_its_page(admin_client, connect, alice, lobby):
    connect(alice, "lobby")
    address = f"/admin/realtime/room/{lobby.pk}/change/"
    form = admin_client.get(address).context["adminform"].form
    data = {key: form[key].value() or "" for key in form.fields} | {"title": "New", "groups": []}
    data |= {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    assert admin_client.post(address, data).status_code == 302
    lobby.refresh_from_db()
    assert lobby.title == "New"
    refused = admin_client.post(address, data | {"name": "a b"})
    assert "alice" in text_of(refused)
    assert f'href="{EXPLAIN}?room=lobby"' in refused.content.decode()


def test_the_mixin_works_where_an_admin_says_nothing_of_fields(admin_user, layer):
    class PlainAdmin(LiveConnectionsMixin, admin.ModelAdmin):
        pass

    model_admin = PlainAdmin(User, admin.site)
    request = RequestFactory().get("/")
    request.user = admin_user
    fieldsets = model_admin.get_fieldsets(request, admin_user)
    names = [name for _, options in fieldsets for name in options["fields"]]
    assert names.count("live_connections") == 1
    assert "live_connections" in model_admin.get_readonly_fields(request, admin_user)
    fieldsets = model_admin.get_fieldsets(request)
    adding = [name for _, options in fieldsets for name in options["fields"]]
    assert "live_connections" not in adding

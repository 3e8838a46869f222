"""The admin on sites of all kinds: it uses what is registered, and needs nothing else."""

import os
import re
import subprocess
import sys

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse

from realtime.models import Connection, Membership, Room
from tests.support.admin_sites import SITES
from tests.support.processes import ROOT

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def urls_of_all_sites(settings):
    settings.ROOT_URLCONF = "tests.support.admin_sites"


@pytest.fixture
def room(alice):
    room = Room.objects.create(name="lobby")
    Membership.objects.create(room=room, user=alice)
    room.groups.add(Group.objects.create(name="Staff"))
    return room


def read(client, path):
    response = client.get(path)
    assert response.status_code == 200, path
    return response.content.decode()


def form_of(client, site, room):
    return read(client, f"/{site}/realtime/room/{room.pk}/change/")


@pytest.mark.parametrize("site", SITES)
def test_a_site_passes_the_checks(site):
    found = [
        message
        for model in (Room, Membership, Connection)
        if SITES[site].is_registered(model)
        for message in SITES[site].get_model_admin(model).check()
    ]
    assert found == []


@pytest.mark.parametrize("command", [["check"], ["migrate", "--plan"]])
def test_a_site_that_unregisters_users_and_groups_starts(command, tmp_path):
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings.bare_admin",
            "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("site", SITES)
def test_all_pages_of_a_site_are_there(admin_client, connect, alice, site, room):
    connect(alice, "lobby")
    pages = ["", "realtime/", "realtime/room/", "realtime/room/add/"]
    pages += [f"realtime/room/{room.pk}/change/"]
    if site != "own_rooms":
        pages += ["realtime/room/explain/?room=lobby&user=alice&action=join"]
    if SITES[site].is_registered(Membership):
        member = Membership.objects.get()
        pages += ["realtime/membership/", "realtime/membership/?q=alice"]
        pages += ["realtime/membership/add/", f"realtime/membership/{member.pk}/change/"]
    if SITES[site].is_registered(Connection):
        pages += ["realtime/connection/", "realtime/connection/disconnect/?q=alice"]
    if SITES[site].is_registered(User):
        pages += [f"auth/user/{alice.pk}/change/"]
    for page in pages:
        html = read(admin_client, f"/{site}/{page}")
        assert 'href="/admin/' not in html, page


def test_a_search_box_is_used_where_the_related_admin_searches(admin_client, room):
    html = form_of(admin_client, "full", room)
    assert html.count("admin-autocomplete") >= 2
    assert 'data-ajax--url="/full/autocomplete/"' in html
    assert "vForeignKeyRawIdAdminField" not in html


@pytest.mark.parametrize("site", ["bare", "unsearchable"])
def test_keys_are_entered_where_nothing_searches(admin_client, site, room):
    html = form_of(admin_client, site, room)
    assert "admin-autocomplete" not in html
    for name in ("groups", "memberships-0-user"):
        assert re.search(f'<input type="text" name="{name}" value="[0-9]+"', html)
    assert ("related-lookup" in html) is (site == "unsearchable")
    assert ("Enter ids, separated by commas." in html) is (site == "bare")
    assert "related-widget-wrapper" not in html


def test_keys_are_entered_by_staff_who_may_not_see_users(client, room):
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="realtime"))
    client.force_login(clerk)
    html = form_of(client, "full", room)
    assert "vForeignKeyRawIdAdminField" in html and "admin-autocomplete" not in html
    read(client, "/full/realtime/membership/?q=alice")


def test_a_room_is_saved_with_keys(admin_client, alice):
    staff = Group.objects.create(name="Staff")
    form = {
        **{"name": "staff", "access": "members", "publishing": "members", "groups": staff.pk},
        **{"history_size": 100, "history_ttl_seconds": 300, "memberships-TOTAL_FORMS": 1},
        **{"memberships-INITIAL_FORMS": 0, "memberships-0-user": alice.pk},
        **{"memberships-0-role": "moderator"},
    }
    response = admin_client.post("/bare/realtime/room/add/", form)
    assert response.status_code == 302, response.context["adminform"].form.errors
    assert list(Room.objects.get().groups.all()) == [staff]
    assert Membership.objects.get().user == alice


def test_memberships_are_found_by_what_the_admin_of_users_searches(admin_client, room, alice):
    address = "/full/realtime/membership/"
    assert "1 membership" in read(admin_client, f"{address}?q=alice@example")
    assert "0 memberships" in read(admin_client, f"{address}?q=example")
    assert "1 membership" in read(admin_client, "/bare/realtime/membership/?q=lic")


def test_an_option_of_a_site_is_left_to_django(admin_client, room, monkeypatch):
    model_admin = SITES["full"].get_model_admin(Membership)
    monkeypatch.setattr(model_admin, "raw_id_fields", ("user",))
    html = read(admin_client, "/full/realtime/membership/add/")
    assert html.count("vForeignKeyRawIdAdminField") == 1
    assert html.count('class="admin-autocomplete"') == 1


def test_the_links_of_a_custom_site_stay_on_it(admin_client, room):
    html = read(admin_client, "/full/realtime/room/")
    assert f'"/full/realtime/membership/?room__id__exact={room.pk}"' in html
    assert reverse("admin:realtime_room_changelist") != "/full/realtime/room/"

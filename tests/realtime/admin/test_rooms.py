"""Rooms and roles in the Django admin."""

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse

from realtime.models import Membership, Room
from realtime.rights.backend import may

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(admin_client):
    """Get an admin page as an administrator: page("room_changelist", q="x")."""

    def _get(name, *args, **query):
        response = admin_client.get(reverse(f"admin:realtime_{name}", args=args), query)
        assert response.status_code == 200
        return response.content.decode()

    return _get


@pytest.fixture
def room():
    return Room.objects.create(name="lobby", title="<script>alert(1)</script>")


def test_rooms_are_found_by_name_and_filtered(page, room):
    Room.objects.create(name="other", archived=True)
    assert "other" not in page("room_changelist", q="lobb")
    assert "lobby" not in page("room_changelist", archived__exact="1")


def test_titles_are_text(page, room):
    listed = page("room_changelist")
    assert "<script>alert(1)" not in listed
    assert "&lt;script&gt;alert(1)" in listed


def test_a_room_is_edited_with_its_roles(page, room):
    Membership.objects.create(room=room, user=User.objects.create_user("bob"))
    form = page("room_change", room.pk)
    assert 'name="memberships-0-role"' in form
    assert "admin-autocomplete" in form


def test_a_room_is_made_with_a_moderator(admin_client):
    bob = User.objects.create_user("bob")
    group = Group.objects.create(name="Staff")
    form = {
        "name": "staff",
        "access": "members",
        "publishing": "members",
        "groups": [group.pk],
        "history_size": 100,
        "history_ttl_seconds": 300,
        "memberships-TOTAL_FORMS": 1,
        "memberships-INITIAL_FORMS": 0,
        "memberships-0-user": bob.pk,
        "memberships-0-role": "moderator",
    }
    response = admin_client.post(reverse("admin:realtime_room_add"), form)
    assert response.status_code == 302, response.context["adminform"].form.errors
    room = Room.objects.get()
    assert may(bob, "moderate", room)


@pytest.mark.parametrize("name", ["a b", "../x", "x" * 129, "é"])
def test_a_name_that_no_room_can_have_is_explained(admin_client, name):
    response = admin_client.post(reverse("admin:realtime_room_add"), {"name": name})
    assert response.status_code == 200
    assert response.context["adminform"].form.errors["name"]


def test_memberships_are_found_by_user_and_room(page, room):
    Membership.objects.create(room=room, user=User.objects.create_user("bob"))
    assert "1 membership" in page("membership_changelist", q="bob")
    assert "0 memberships" in page("membership_changelist", q="nobody")


def test_without_the_permission_there_is_no_admin_of_rooms(client, room):
    clerk = User.objects.create_user("clerk", is_staff=True)
    client.force_login(clerk)
    assert client.get(reverse("admin:realtime_room_changelist")).status_code == 403

"""The actions of the console."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from realtime import rooms
from realtime.admin import listing
from realtime.models import Membership, Room
from realtime.rights.backend import may
from realtime.rooms import room_types
from tests.support.pages import LIST, confirm, logged, rows_of, said, text_of

pytestmark = pytest.mark.django_db


def test_connections_are_closed(as_staff, layer, connect, alice, bob):
    browser = as_staff("view_connection", "disconnect_connection")
    here, there, other = connect(alice), connect(alice, process="web-2"), connect(bob)
    response = confirm(browser, "disconnect", here, there, reason="spam")
    told = layer.of_type("realtime.removal")
    keys = ("client", "code", "reason", "user")
    assert {tuple(message[key] for key in keys) for message in told} == {
        (here, 3503, "spam", None),
        (there, 3503, "spam", None),
    }
    assert said(response) == ["2 connections of alice were closed."]
    assert logged() == [("clerk", "user", "alice", f"Disconnected ({here}, {there}). Reason: spam")]
    assert rows_of(browser.get(LIST)) == [other]


def test_a_connection_that_is_nobodys_is_closed_and_logged(admin_client, connect):
    client = connect(None, "lobby")
    confirm(admin_client, "disconnect", client)
    assert logged() == [
        ("admin", "connection", "somebody at 203.0.113.7", f"Disconnected ({client}).")
    ]
    assert "somebody at 203.0.113.7" in text_of(admin_client.get("/admin/"))


def test_connections_that_do_not_close_are_reported(
    admin_client, layer, connect, alice, monkeypatch
):
    monkeypatch.setattr(listing, "GONE_SECONDS", 0.1)
    monkeypatch.setattr(layer, "end", lambda client: None)
    response = confirm(admin_client, "disconnect", connect(alice))
    assert "told to close and is still listed" in said(response)[0]


def test_a_notice_is_sent(as_staff, layer, connect, alice, bob):
    browser = as_staff("view_connection", "notify_connection")
    clients = [connect(alice), connect(alice, process="web-2"), connect(bob)]
    text = "line\r\n" + "x" * 995
    response = confirm(browser, "notify", *clients, text=text)
    told = layer.of_type("realtime.notice")
    assert [message["client"] for message in told] == clients
    assert {message["text"] for message in told} == {"line\n" + "x" * 995}
    assert said(response) == ["The notice was sent to alice, bob."]
    assert [about for _, _, about, _ in logged()] == ["alice", "bob"]
    assert all("xxx" in what for _, _, _, what in logged())


@pytest.mark.parametrize("text", ["", "  ", "x" * 1001, "a\0b"])
def test_a_text_that_is_no_notice_is_explained(admin_client, layer, connect, alice, text):
    response = confirm(admin_client, "notify", connect(alice), text=text)
    assert response.status_code == 200
    assert response.context["form"].errors["text"]
    assert "Please correct the error below." in text_of(response)
    assert not layer.told


def test_a_muted_user_keeps_reading(as_staff, layer, connect, alice, bob, lobby):
    lobby.memberships.create(user=bob, role=Membership.Role.MODERATOR)
    browser = as_staff("view_connection", "moderate_room")
    clients = [connect(alice, "lobby"), connect(alice, "lobby"), connect(bob, "lobby", "staff")]
    response = confirm(browser, "mute", *clients, connect(None, "lobby"), reason="shouts")
    roles = {each.user.username: (each.role, each.muted) for each in lobby.memberships.all()}
    assert roles == {"alice": ("member", True), "bob": ("moderator", True)}
    fresh = User.objects.get(pk=alice.pk)
    assert may(fresh, "join", lobby)
    assert not may(fresh, "publish", lobby)
    assert said(response) == ["Muted in lobby: alice, bob."]
    assert logged() == [
        ("clerk", "user", "alice", "Muted in the room lobby. Reason: shouts"),
        ("clerk", "user", "bob", "Muted in the room lobby. Reason: shouts"),
        ("clerk", "room", "lobby", "Muted: alice, bob. Reason: shouts"),
    ]


def test_a_role_that_has_expired_is_no_obstacle(admin_client, connect, alice, lobby):
    over = timezone.now() - timedelta(days=1)
    lobby.memberships.create(user=alice, role="moderator", expires_at=over)
    confirm(admin_client, "mute", connect(alice, "lobby"))
    assert not may(User.objects.get(pk=alice.pk), "publish", lobby)
    assert lobby.memberships.get().role == "member"


def test_a_role_that_goes_on_for_a_while_is_muted_as_it_is(admin_client, connect, alice, lobby):
    soon = timezone.now() + timedelta(days=1)
    lobby.memberships.create(user=alice, role="moderator", expires_at=soon)
    confirm(admin_client, "mute", connect(alice, "lobby"))
    membership = lobby.memberships.get()
    assert (membership.role, membership.muted, membership.expires_at) == ("moderator", True, soon)


def test_muting_that_would_change_nothing_is_not_done(
    admin_client, admin_user, connect, alice, bob, lobby
):
    alice.user_permissions.add(Permission.objects.get(codename="publish_room"))
    lobby.memberships.create(user=bob, muted=True)
    gone = User.objects.create_user("gone")
    clients = [connect(user, "lobby") for user in (admin_user, alice, bob, gone)]
    gone.delete()
    response = confirm(admin_client, "mute", *clients)
    assert said(response) == [
        "admin was not muted: superusers may publish everywhere, whatever their role.",
        "alice was not muted: who may publish in every room may do so whatever the role.",
        "bob was not muted: they are muted already.",
        "gone was not muted: the user has been deleted.",
    ]
    assert lobby.memberships.count() == 1
    assert not logged()


def test_superusers_are_not_offered_to_be_muted(admin_client, admin_user, connect, alice, lobby):
    connect(admin_user, "lobby")
    page = admin_client.get(f"{LIST}mute/?room=lobby")
    assert "None of these connections is in a room" in text_of(page)
    remark = "admin can't be muted: superusers may publish everywhere, whatever their role."
    assert remark in text_of(page)
    connect(alice, "lobby")
    page = admin_client.get(f"{LIST}mute/?room=lobby")
    assert remark in text_of(page)
    assert page.context["form"].fields["room"].choices == [("lobby", "lobby: alice")]


def test_muting_lets_nobody_in(as_staff, connect, alice, bob):
    """Whose right ended while the page was open: a role would give it back."""
    secret = Room.objects.create(name="secret")
    browser = as_staff("view_connection", "moderate_room")
    response = confirm(browser, "mute", connect(alice, "secret"), room="secret")
    assert "they may not be in the room any more" in said(response)[0]
    assert not secret.memberships.exists()


def test_users_who_may_publish_by_another_rule_are_reported(
    admin_client, connect, alice, lobby, settings
):
    settings.AUTHENTICATION_BACKENDS = [
        *settings.AUTHENTICATION_BACKENDS,
        "tests.realtime.admin.test_actions.EverybodyPublishes",
    ]
    response = confirm(admin_client, "mute", connect(alice, "lobby"))
    assert "alice may publish nevertheless: " in said(response)[1]


class EverybodyPublishes:
    def has_perm(self, user, perm, obj=None):
        return perm == "realtime.publish_room" and obj is not None


def test_people_are_removed_for_now(as_staff, layer, connect, alice, lobby):
    lobby.memberships.create(user=alice)
    browser = as_staff("view_connection", "moderate_room")
    unknown = connect(None, "lobby")
    response = confirm(browser, "remove", connect(alice, "lobby"), unknown, reason="off topic")
    told = [
        (message["room"], message["user"], message["client"], message["reason"])
        for message in layer.of_type("realtime.removal")
    ]
    assert told == [
        ("lobby", str(alice.pk), "", "off topic"),
        ("lobby", None, unknown, "off topic"),
    ]
    assert lobby.memberships.exists()
    assert said(response) == ["Removed from lobby: alice, somebody at 203.0.113.7."]
    assert logged() == [
        ("clerk", "user", "alice", "Removed from the room lobby. Reason: off topic"),
        ("clerk", "connection", "somebody at 203.0.113.7", logged()[0][3]),
        ("clerk", "room", "lobby", "Removed: alice, somebody at 203.0.113.7. Reason: off topic"),
    ]


def test_people_are_removed_with_their_role(admin_client, layer, connect, alice, lobby):
    lobby.memberships.create(user=alice, role="moderator")
    response = confirm(admin_client, "remove", connect(alice, "lobby"), how="role")
    assert not lobby.memberships.exists()
    assert len(layer.of_type("realtime.removal")) == 1
    assert said(response) == [
        "Removed from lobby: alice.",
        "alice may come back: every signed-in user may enter.",
    ]
    assert [what for _, _, _, what in logged()] == [
        "Took the role away: moderator in the room lobby.",
        "Removed from the room lobby.",
        "Removed: alice.",
    ]


@pytest.mark.parametrize("action", ["mute", "remove"])
def test_moderators_on_the_staff_act_in_their_own_rooms(
    as_staff, layer, connect, alice, lobby, action
):
    other = Room.objects.create(name="other", access=Room.Access.AUTHENTICATED)
    browser = as_staff("view_connection")
    client = connect(alice, "lobby", "other")
    assert browser.get(f"{LIST}{action}/?user={alice.pk}").status_code == 403
    lobby.memberships.create(user=browser.user, role=Membership.Role.MODERATOR)
    page = browser.get(f"{LIST}{action}/?user={alice.pk}")
    assert [name for name, _ in page.context["form"].fields["room"].choices] == ["lobby"]
    for room in ("other", "not-there", "orders/42"):
        assert confirm(browser, action, client, room=room).status_code == 403
    assert not layer.told
    assert not other.memberships.exists()
    assert confirm(browser, action, client).status_code == 302
    assert len(logged()) == 2


@pytest.mark.parametrize("action", ["mute", "remove"])
def test_a_moderator_who_stops_being_one_does_no_more(as_staff, connect, alice, lobby, action):
    browser = as_staff("view_connection")
    role = lobby.memberships.create(user=browser.user, role=Membership.Role.MODERATOR)
    other = Room.objects.create(name="other", access=Room.Access.AUTHENTICATED)
    other.memberships.create(user=browser.user, role=Membership.Role.MODERATOR)
    client = connect(alice, "lobby", "other")
    assert browser.get(f"{LIST}{action}/?user={alice.pk}").status_code == 200
    role.delete()
    assert confirm(browser, action, client).status_code == 403
    assert not logged()


@pytest.mark.parametrize("action", ["mute", "remove"])
@pytest.mark.parametrize("room", ["", "not-there", "empty"])
def test_a_room_in_which_nobody_is_is_refused(admin_client, connect, alice, lobby, action, room):
    Room.objects.create(name="empty")
    response = confirm(admin_client, action, connect(alice, "lobby"), room=room)
    assert response.context["form"].errors["room"]
    assert not logged()


def test_nobody_is_muted_in_rooms_of_code_and_people_are_removed_from_them(
    admin_client, layer, connect, alice, monkeypatch
):
    monkeypatch.setattr(room_types, "_types", [])
    rooms.register("orders/<int:pk>")(rooms.RoomType)
    client = connect(alice, "orders/42")
    page = admin_client.get(f"{LIST}mute/?user={alice.pk}")
    assert "None of these connections is in a room for which you can do this." in text_of(page)
    assert confirm(admin_client, "mute", client, room="orders/42").status_code == 200
    response = confirm(admin_client, "remove", client, room="orders/42", how="role")
    assert said(response) == ["Removed from orders/42: alice."]
    assert layer.of_type("realtime.removal")[0]["room"] == "orders/42"
    assert [kind for _, kind, _, _ in logged()] == ["user"]

"""`has_perm` for rooms."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user, login
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from realtime import names
from realtime.authentication import Identity
from realtime.layers.groups import group_name
from realtime.models import Membership, Room
from realtime.rights import backend, grants

pytestmark = pytest.mark.django_db

READ, TALK, ALL = {"join"}, {"join", "publish"}, {"join", "publish", "moderate"}


@pytest.fixture
def alice():
    return User.objects.create_user("alice")


def actions(user, room):
    user = User.objects.get(pk=user.pk) if user.pk else user
    return {action for action in backend.ACTIONS if backend.may(user, action, room)}


@pytest.mark.parametrize(
    ("access", "publishing", "expected"),
    [
        ("members", "members", set()),
        ("authenticated", "members", TALK),
        ("authenticated", "moderators", READ),
        ("authenticated", "nobody", READ),
        ("anyone", "members", TALK),
    ],
)
def test_access_decides_for_users_without_a_role(alice, access, publishing, expected):
    room = Room.objects.create(name="r", access=access, publishing=publishing)
    assert actions(alice, room) == expected
    assert actions(AnonymousUser(), room) == (READ if access == "anyone" else set())


@pytest.mark.parametrize(
    ("role", "publishing", "expected"),
    [
        ("reader", "members", READ),
        ("member", "members", TALK),
        ("member", "moderators", READ),
        ("member", "nobody", READ),
        ("moderator", "members", ALL),
        ("moderator", "moderators", ALL),
        ("moderator", "nobody", {"join", "moderate"}),
    ],
)
def test_a_role_takes_precedence_over_access(alice, role, publishing, expected):
    for access in Room.Access.values:
        room = Room.objects.create(name=f"r-{access}", access=access, publishing=publishing)
        Membership.objects.create(room=room, user=alice, role=role)
        assert actions(alice, room) == expected


def test_a_muted_user_may_only_read(alice):
    room = Room.objects.create(name="r", access="authenticated")
    Membership.objects.create(room=room, user=alice, muted=True)
    assert actions(alice, room) == READ


def test_an_expired_membership_has_no_effect(alice):
    room = Room.objects.create(name="r")
    past = timezone.now() - timedelta(seconds=1)
    Membership.objects.create(room=room, user=alice, role="moderator", expires_at=past)
    assert actions(alice, room) == set()
    assert list(Room.objects.open_to(alice)) == []


def test_users_in_a_group_of_the_room_are_members(alice):
    room = Room.objects.create(name="r")
    room.groups.add(Group.objects.create(name="staff"))
    assert actions(alice, room) == set()
    alice.groups.add(Group.objects.get())
    assert actions(alice, room) == TALK


def test_a_model_permission_covers_all_rooms(alice):
    room = Room.objects.create(name="r")
    group = Group.objects.create(name="bots")
    group.permissions.add(Permission.objects.get(codename="publish_room"))
    alice.groups.add(group)
    alice.user_permissions.add(Permission.objects.get(codename="join_room"))
    assert actions(alice, room) == TALK


def test_superusers_may_do_everything_unless_they_are_inactive(alice):
    room = Room.objects.create(name="r")
    alice.is_superuser = True
    alice.save()
    assert actions(alice, room) == ALL
    alice.is_active = False
    alice.save()
    assert actions(alice, room) == set()


def test_inactive_users_may_do_nothing(alice):
    room = Room.objects.create(name="r", access="authenticated")
    Membership.objects.create(room=room, user=alice, role="moderator")
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert actions(alice, room) == set()
    assert list(Room.objects.open_to(User.objects.get())) == []


class PerObjectBackend(BaseBackend):
    """Like django-guardian: rights by object, stored elsewhere."""

    def has_perm(self, user_obj, perm, obj=None):
        return perm == "realtime.join_room" and getattr(obj, "name", "") == "by-object"


class BrokenBackend(BaseBackend):
    def has_perm(self, user_obj, perm, obj=None):
        raise RuntimeError("broken backend")


def test_other_backends_are_asked_too(alice, settings):
    backends = settings.AUTHENTICATION_BACKENDS
    settings.AUTHENTICATION_BACKENDS = [*backends, f"{__name__}.PerObjectBackend"]
    assert actions(alice, Room.objects.create(name="by-object")) == READ
    assert actions(alice, Room.objects.create(name="other")) == set()


def test_a_backend_that_raises_denies(alice, settings):
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.BrokenBackend"]
    assert actions(alice, Room.objects.create(name="r", access="authenticated")) == set()


class DenyingBackend(BaseBackend):
    def has_perm(self, user_obj, perm, obj=None):
        if obj is None:
            raise PermissionDenied
        return False


@pytest.mark.parametrize("denying_first", [True, False])
def test_a_backend_that_denies_ends_the_search_for_permissions(alice, settings, denying_first):
    backends = [f"{__name__}.DenyingBackend", "django.contrib.auth.backends.ModelBackend"]
    if not denying_first:
        backends.reverse()
    settings.AUTHENTICATION_BACKENDS = ["realtime.rights.RoomBackend", *backends]
    alice.user_permissions.add(Permission.objects.get(codename="join_room"))
    Room.objects.create(name="r")
    granted = grants.grant(Identity(alice), "r").actions
    assert granted == (set() if denying_first else READ)


ONE_FOR_BOTH = "realtime.rights.ModelBackend"


@pytest.mark.parametrize("listed", ["django.contrib.auth.backends.ModelBackend", ONE_FOR_BOTH])
def test_rooms_need_no_backend_of_their_own(alice, settings, listed):
    settings.AUTHENTICATION_BACKENDS = [listed]
    room = Room.objects.create(name="r")
    assert actions(alice, room) == set()
    Membership.objects.create(room=room, user=alice)
    assert actions(alice, room) == TALK
    assert alice.has_perm("realtime.join_room", room) is (listed == ONE_FOR_BOTH)
    alice.user_permissions.add(Permission.objects.get(codename="moderate_room"))
    assert actions(User.objects.get(), room) == ALL
    assert User.objects.get().has_perm("realtime.moderate_room")
    assert not User.objects.get().has_perm("realtime.add_room")


@pytest.mark.parametrize("listed", ["django.contrib.auth.backends.ModelBackend", ONE_FOR_BOTH])
def test_a_sign_up_view_signs_in_without_naming_a_backend(rf, alice, settings, listed):
    settings.AUTHENTICATION_BACKENDS = [listed]
    request = rf.get("/")
    request.session = SessionStore()
    login(request, alice)
    assert get_user(request) == alice


def test_a_backend_that_denies_comes_before_the_rules_of_rooms(alice, settings):
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.AlwaysDenyingBackend"]
    room = Room.objects.create(name="r", access="authenticated")
    assert actions(alice, room) == set()
    alice.is_superuser = True
    alice.save()
    assert actions(alice, room) == ALL


class AlwaysDenyingBackend(BaseBackend):
    def has_perm(self, user_obj, perm, obj=None):
        raise PermissionDenied


@pytest.mark.parametrize("listed", ["realtime.rights.RoomBackend", ONE_FOR_BOTH])
@pytest.mark.django_db(transaction=True)
async def test_the_async_form_of_has_perm_answers_the_same(settings, listed):
    settings.AUTHENTICATION_BACKENDS = [listed]
    user = await User.objects.acreate(username="bob")
    open_room = await Room.objects.acreate(name="r", access="authenticated")
    closed = await Room.objects.acreate(name="closed")
    assert await user.ahas_perm("realtime.join_room", open_room)
    assert not await user.ahas_perm("realtime.join_room", closed)


@pytest.mark.parametrize("answer", [None, 1, "yes", object()])
def test_only_true_allows(answer):
    class OddUser:
        def has_perm(self, perm, obj):
            return answer

    assert backend.may(OddUser(), "join", Room(name="r")) is False


def test_a_grant_is_read_from_the_database_each_time(alice):
    room = Room.objects.create(name="r")
    identity = Identity(alice)
    assert grants.grant(identity, "r") == grants.NOTHING
    Membership.objects.create(room=room, user=alice)
    assert grants.grant(identity, "r").actions == TALK
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert grants.grant(identity, "r") == grants.NOTHING


def test_nobody_enters_an_archived_or_missing_room(alice):
    alice.is_superuser = True
    alice.save()
    Room.objects.create(name="old", access="anyone", archived=True)
    for name in ("old", "absent", "", "..", "OLD"):
        assert grants.grant(Identity(alice), name) == grants.NOTHING


def test_a_closed_and_a_missing_room_take_the_same_queries(alice):
    Room.objects.create(name="closed")
    counts = set()
    for name in ("closed", "absent"):
        with CaptureQueriesContext(connection) as queries:
            grants.grant(Identity(alice), name)
        counts.add(len(queries))
    assert len(counts) == 1


@pytest.mark.parametrize("name", ["lobby", "orders/42", "a.b:c@d_-", "0", "A" * 128])
def test_valid_room_names(name):
    assert names.is_room_name(name)


@pytest.mark.parametrize(
    "name", ["", "a\n", "a b", "é", "٣", "..", "a/../b", "/a", "a//b", "A" * 129, None, 5, ".a"]
)
def test_invalid_room_names(name):
    assert not names.is_room_name(name)


def test_no_two_names_share_a_group():
    given = ["lobby", "Lobby", "lobby-", "lobby.", "orders/1", "orders-1", "orders.1", "orders_1"]
    assert len({group_name(name) for name in given}) == len(given)

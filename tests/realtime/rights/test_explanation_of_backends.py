"""An explanation has the outcome of the live system, whatever the backends are."""

import itertools
import random

import pytest
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from rest_framework_simplejwt.settings import api_settings

from realtime.models import Membership, Room
from realtime.rights import backend
from realtime.rights.explanation import explain
from tests.support.explanations import FUTURE, PAST, ROLES, live, rules, sources


@pytest.mark.parametrize("archived", [False, True], ids=["open", "archived"])
@pytest.mark.parametrize("inactive_may_sign_in", [False, True])
@pytest.mark.parametrize("access", Room.Access.values)
@pytest.mark.parametrize("publishing", Room.Publishing.values)
def test_the_outcome_is_that_of_the_live_system(
    in_memory, monkeypatch, archived, access, publishing, inactive_may_sign_in
):
    if inactive_may_sign_in:
        monkeypatch.setattr(api_settings, "CHECK_USER_IS_ACTIVE", False)
    room = Room(pk=1, name="r", access=access, publishing=publishing, archived=archived)
    everything = frozenset(f"realtime.{action}_room" for action in backend.ACTIONS)
    outcomes = set()
    for (role, muted, expired), in_group, permissions, active, superuser in itertools.product(
        ROLES, (False, True), ((), everything), (True, False), (False, True)
    ):
        if active and inactive_may_sign_in:
            continue
        user = User(pk=1, username="alice", is_active=active, is_superuser=superuser)
        membership = role and Membership(
            room=room, user=user, role=role, muted=muted, expires_at=PAST if expired else FUTURE
        )
        in_memory(user, room, membership=membership, in_group=in_group, permissions=permissions)
        for action in backend.ACTIONS:
            explained = explain(user, "r", action)
            assert explained.allowed == live(user, "r", action), explained
            assert explained.reason
            outcomes.add(explained.allowed)
    assert outcomes == ({False} if archived or inactive_may_sign_in else {True, False})


@pytest.mark.django_db
def test_the_outcome_is_that_of_the_live_system_with_a_real_database():
    chosen = random.Random(4)
    group = Group.objects.create(name="Staff")
    permissions = {
        action: Permission.objects.get(codename=f"{action}_room") for action in backend.ACTIONS
    }
    outcomes = []
    for number in range(30):
        room = Room.objects.create(
            name=f"r{number}",
            access=chosen.choice(Room.Access.values),
            publishing=chosen.choice(Room.Publishing.values),
            archived=chosen.random() < 0.1,
        )
        user = User.objects.create(
            username=f"u{number}",
            is_active=chosen.random() < 0.9,
            is_superuser=chosen.random() < 0.1,
        )
        role, muted, expired = chosen.choice(ROLES)
        if role:
            ends = PAST if expired else chosen.choice([None, FUTURE])
            Membership.objects.create(room=room, user=user, role=role, muted=muted, expires_at=ends)
        if chosen.random() < 0.3:
            room.groups.add(group)
            user.groups.add(group)
        if chosen.random() < 0.3:
            user.user_permissions.add(permissions[chosen.choice(backend.ACTIONS)])
        for action in backend.ACTIONS:
            explained = explain(user, room.name, action)
            assert explained.allowed == live(user, room.name, action), explained
            outcomes.append(explained.allowed)
    assert outcomes.count(True) > 20 < outcomes.count(False)


class PerObjectBackend(BaseBackend):
    def has_perm(self, user_obj, perm, obj=None):
        return perm == "realtime.join_room" and getattr(obj, "name", "") == "r"


class DenyingBackend(BaseBackend):
    def has_perm(self, user_obj, perm, obj=None):
        raise PermissionDenied


class DenyingAllRoomsBackend(BaseBackend):
    def has_perm(self, user_obj, perm, obj=None):
        if obj is None:
            raise PermissionDenied
        return False


class BrokenBackend(BaseBackend):
    def has_perm(self, user_obj, perm, obj=None):
        raise RuntimeError("broken backend")


class BrokenForAllRoomsBackend(BaseBackend):
    def has_perm(self, user_obj, perm, obj=None):
        if obj is None:
            raise RuntimeError("broken backend")
        return False


class TruthyBackend(BaseBackend):
    def has_perm(self, user_obj, perm, obj=None):
        return [perm]


class TruthyForAllRoomsBackend(BaseBackend):
    def has_perm(self, user_obj, perm, obj=None):
        return obj is None and [perm]


class MoreModelBackend(ModelBackend):
    """Gives a permission that is not in the database."""

    def get_all_permissions(self, user_obj, obj=None):
        return {"realtime.join_room"} if obj is None else set()


class SignInOnlyBackend:
    def get_user(self, user_id):
        return None


class StrictRoomBackend(backend.RoomBackend):
    def has_perm(self, user_obj, perm, obj=None):
        return perm != "realtime.publish_room" and super().has_perm(user_obj, perm, obj)


OTHERS = [PerObjectBackend, DenyingBackend, DenyingAllRoomsBackend, BrokenBackend]
OTHERS += [BrokenForAllRoomsBackend, TruthyBackend, TruthyForAllRoomsBackend]
OTHERS += [MoreModelBackend, SignInOnlyBackend, StrictRoomBackend]


@pytest.mark.parametrize("other", OTHERS)
def test_the_outcome_is_that_of_the_live_system_with_other_backends(in_memory, settings, other):
    name = f"{__name__}.{other.__name__}"
    stock = ("django.contrib.auth.backends.ModelBackend", "realtime.rights.RoomBackend")
    by_object = f"{__name__}.PerObjectBackend"
    one_for_both = "realtime.rights.ModelBackend"
    orders = [*itertools.permutations([*stock, name]), (name,), (stock[1], name, by_object)]
    orders += [(stock[0], name), (name, stock[0]), (one_for_both, name), (name, one_for_both)]
    user = User(pk=1, username="alice")
    everything = frozenset(f"realtime.{action}_room" for action in backend.ACTIONS)
    for backends, role, permissions, access in itertools.product(
        orders, (None, "reader", "moderator"), ((), everything), ("members", "authenticated")
    ):
        settings.AUTHENTICATION_BACKENDS = backends
        room = Room(pk=1, name="r", access=access)
        membership = role and Membership(room=room, user=user, role=role)
        in_memory(user, room, membership=membership, permissions=permissions)
        for action in backend.ACTIONS:
            explained = explain(user, "r", action)
            assert explained.allowed == live(user, "r", action), explained


@pytest.mark.parametrize(
    ("backend", "verdict", "source"),
    [
        (PerObjectBackend, "yes", "returned True"),
        (DenyingBackend, "no", "raised PermissionDenied"),
        (BrokenBackend, "no", "raised RuntimeError"),
        (TruthyBackend, "yes", "returned a value of type list"),
        (SignInOnlyBackend, "no decision", "has no has_perm"),
    ],
)
def test_a_backend_is_named_with_what_it_did(in_memory, settings, backend, verdict, source):
    path = f"{__name__}.{backend.__name__}"
    settings.AUTHENTICATION_BACKENDS = [path, "realtime.rights.RoomBackend"]
    user, room = User(pk=1, username="alice"), Room(pk=1, name="r")
    in_memory(user, room)
    explained = explain(user, "r")
    assert rules(explained)[backend.__name__] == verdict
    assert sources(explained)[backend.__name__] == f"{path} {source}"
    asked = "no decision" if verdict == "no decision" else "not asked"
    assert rules(explained)["RoomBackend"] == asked


def test_without_a_backend_for_rooms_the_built_in_one_is_asked_last(in_memory, settings):
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    user, room = User(pk=1, username="alice"), Room(pk=1, name="r", access="authenticated")
    in_memory(user, room)
    explained = explain(user, "r")
    assert sources(explained)["RoomBackend"] == "realtime.rights.RoomBackend, asked last"
    assert explained.allowed
    assert live(user, "r", "join")


def test_a_user_model_with_its_own_has_perm_decides_alone(in_memory):
    class Strict(User):
        answer = True

        class Meta:
            proxy = True
            app_label = "auth"

        def has_perm(self, perm, obj=None):
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    room = Room(pk=1, name="r", access="members")
    for answer in (True, False, 1, RuntimeError()):
        user = Strict(pk=1, username="alice", is_superuser=True)
        user.answer = answer
        in_memory(user, room)
        explained = explain(user, "r")
        assert explained.allowed == live(user, "r", "join") == (answer is True)
        assert "Strict.has_perm" in explained.reason

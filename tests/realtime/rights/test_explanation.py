"""Explanations: the outcome is that of the live system, and each rule says where it comes from."""

import itertools
import random
import time
from datetime import UTC, datetime

import pytest
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.exceptions import PermissionDenied, SynchronousOnlyOperation
from django.db import DatabaseError
from django.utils import timezone
from rest_framework_simplejwt.settings import api_settings

from realtime import rooms
from realtime.authentication import Identity
from realtime.changes import changes
from realtime.models import Membership, Room
from realtime.rights import backend, explanation, grants, queries
from realtime.rights.explanation import explain
from realtime.rights.queries import UserInRoom
from realtime.rooms import room_types

PAST = datetime(2024, 2, 1, 9, 30, tzinfo=UTC)
FUTURE = datetime(2124, 2, 1, 9, 30, tzinfo=UTC)
ROLES = [(None, False, False), *itertools.product(Membership.Role.values, *[(False, True)] * 2)]


def live(user, name, action, scopes=None):
    """What a connection of `user` may do."""
    scopes = None if scopes is None else frozenset(scopes.split())
    identity = Identity(user, scopes=scopes, version=changes.version)
    if action in grants.GRANTED:
        return action in grants.grant(identity, name).actions
    room = room_types.find_in_code(name) or grants.find_room(user, name)
    if room is None or not identity.permits(action, name):
        return False
    return backend.may(user, action, room)


def rules(explained):
    """The verdict of each rule."""
    return {rule.name: str(rule.verdict) for rule in explained.rules}


def sources(explained):
    return {rule.name: rule.source for rule in explained.rules}


@pytest.fixture
def in_memory(monkeypatch):
    """`in_memory(user, room, ...)`: from now on the database has just this to say."""
    changes.listen()

    def say(user, room, *, membership=None, in_group=False, permissions=()):
        now = timezone.now()
        expired = membership is not None and (membership.expires_at or FUTURE) < now
        current = None if expired else membership
        room.users_in_room = {user.pk: UserInRoom(current, in_group, frozenset(permissions))}
        found = None if room.archived else room
        for module, name, answer in (
            (grants, "find_room", found),
            (queries, "find_room", found),
            (grants, "read_anew", user),
            (explanation, "read_anew", user),
            (queries, "is_archived", room.archived),
            (queries, "stored_membership", membership),
            (queries, "shared_groups", ["Staff"] if in_group else []),
            (queries, "groups_with", []),
            (queries, "has_directly", bool(permissions)),
        ):
            monkeypatch.setattr(module, name, lambda *args, answer=answer: answer)

    yield say
    changes.stop_listening()


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
def test_the_outcome_is_that_of_the_live_system_with_what_is_in_the_database():
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


# Other backends


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
    """Gives a permission that is in no table."""

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
    orders = [*itertools.permutations([*stock, name]), (name,), (stock[1], name, by_object)]
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
        (SignInOnlyBackend, "says nothing", "has no has_perm"),
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
    asked = "says nothing" if verdict == "says nothing" else "not asked"
    assert rules(explained)["RoomBackend"] == asked


def test_without_a_backend_for_rooms_it_says_which_one_is_missing(in_memory, settings):
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    user, room = User(pk=1, username="alice"), Room(pk=1, name="r", access="anyone")
    in_memory(user, room)
    assert "add realtime.rights.RoomBackend" in explain(user, "r").sentence


def test_a_user_model_that_answers_itself_is_asked_as_a_whole(in_memory):
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


# Rooms in code


@pytest.fixture
def in_code(monkeypatch):
    """`in_code(can_join=True, ...)`: the answers of the hooks of the rooms `desk/…`."""
    monkeypatch.setattr(room_types, "_types", list(room_types._types))
    answers = {}

    class Desk(rooms.RoomType):
        def can_join(self, user, **captured):
            return give(answers.get("can_join", False))

        async def can_publish(self, user, **captured):
            return give(answers.get("can_publish", True))

        def can_moderate(self, user, **captured):
            return give(answers.get("can_moderate", False))

    def give(answer):
        if isinstance(answer, Exception):
            raise answer
        return answer

    rooms.register("desk/<int:number>")(Desk)
    return answers.update


def live_or_unavailable(*args):
    """A hook that can't read the database is a no for now."""
    try:
        return live(*args)
    except DatabaseError:
        return False


ANSWERS = [True, False, None, 1, RuntimeError("broken"), DatabaseError("away")]


@pytest.mark.django_db
@pytest.mark.parametrize("permitted", [False, True])
def test_the_outcome_is_that_of_the_live_system_in_rooms_of_code(alice, in_code, permitted):
    if permitted:
        alice.user_permissions.set(Permission.objects.filter(content_type__app_label="realtime"))
    asked = itertools.product(ANSWERS, ANSWERS, backend.ACTIONS)
    for can_join, other, action in asked:
        in_code(can_join=can_join, can_publish=True, can_moderate=False)
        if action != "join":
            in_code(**{f"can_{action}": other})
        elif other is not True:
            continue
        explained = explain(alice, "desk/5", action)
        assert explained.allowed == live_or_unavailable(alice, "desk/5", action), explained


@pytest.mark.django_db
def test_a_hook_is_named_with_what_it_returned(alice, in_code):
    in_code(can_join=True, can_moderate="yes")
    explained = explain(alice, "desk/5", "moderate")
    hook = f"{__name__}.in_code.<locals>.Desk"
    assert sources(explained)["room"] == f"desk/<int:number> in code: {hook}"
    assert sources(explained)["can_join"] == f"{hook}.can_join returned True"
    refused = f"{hook}.can_moderate returned a value of type str, and only True is a yes"
    assert explained.reason == sources(explained)["can_moderate"] == refused
    assert rules(explained)["permission"] == "says nothing"


@pytest.mark.django_db
def test_a_hook_that_raises_is_a_no_and_the_next_one_is_not_asked(alice, in_code):
    in_code(can_join=KeyError("x"))
    explained = explain(alice, "desk/5", "moderate")
    assert explained.reason.endswith("Desk.can_join raised KeyError")
    assert rules(explained)["can_join"] == "no"
    assert rules(explained)["can_moderate"] == "not asked"


@pytest.mark.django_db
def test_rules_that_take_too_long_are_a_no(alice, in_code, settings, monkeypatch):
    in_code(can_join=True)
    assert explain(alice, "desk/5").allowed
    clock = itertools.count(step=5)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    explained = explain(alice, "desk/5")
    assert not explained.allowed
    assert explained.rules[-1].name == "time"
    assert explained.reason == "took 5.0 s, and RIGHTS_SECONDS allows 4.0 s"


# What the rules of a room say


def verdicts(alice, name, action="join"):
    """The verdicts of the rules of `RoomBackend`, in their order."""
    return [str(rule.verdict) for rule in explain(alice, name, action).rules if rule.part_of]


YES, NO, NOTHING, NOT_ASKED = "yes", "no", "says nothing", "not asked"


@pytest.mark.django_db
def test_the_rules_come_in_the_order_in_which_they_decide(alice, lobby):
    assert [rule.name for rule in explain(alice, "lobby", "publish").rules] == [
        *["user", "name", "room", "join", "scopes", "superuser", "ModelBackend", "RoomBackend"],
        *["membership", "groups", "access", "publishing", "permission"],
    ]
    assert verdicts(alice, "lobby") == [NOTHING, NOTHING, YES, NOT_ASKED, NOT_ASKED]
    assert verdicts(alice, "lobby", "publish") == [NOTHING, NOTHING, YES, YES, NOT_ASKED]
    assert verdicts(alice, "lobby", "moderate") == [NOTHING, NOTHING, NO, NOT_ASKED, NOTHING]


@pytest.mark.django_db
def test_a_membership_decides_alone_and_tells_its_role(alice, lobby):
    Membership.objects.create(room=lobby, user=alice, muted=True, expires_at=FUTURE)
    role = "role member, muted, until 2124-02-01 09:30 UTC"
    assert explain(alice, "lobby").sentence == f"alice may join lobby: {role}."
    assert verdicts(alice, "lobby") == [YES, NOT_ASKED, NOT_ASKED, NOT_ASKED, NOT_ASKED]
    explained = explain(alice, "lobby", "publish")
    refused = f"{role}: that gives join, not publish"
    assert explained.sentence == f"alice may not publish in lobby: {refused}."
    assert verdicts(alice, "lobby", "publish") == [NO, NOT_ASKED, NOT_ASKED, NOT_ASKED, NOTHING]
    assert sources(explained)["join"] == role


@pytest.mark.django_db
def test_an_expired_membership_is_mentioned(alice):
    room = Room.objects.create(name="r")
    Membership.objects.create(room=room, user=alice, role="moderator", expires_at=PAST)
    explained = explain(alice, "r")
    expired = "role moderator, expired 2024-02-01 09:30 UTC, so it counts for nothing"
    assert sources(explained)["membership"] == expired
    assert rules(explained)["membership"] == "says nothing"
    assert explained.reason == f"only members and the room's groups may enter; {expired}"


@pytest.mark.django_db
def test_the_groups_that_user_and_room_share_are_named(alice):
    room = Room.objects.create(name="r", publishing="moderators")
    staff, editors, guests = (
        Group.objects.create(name=it) for it in ("Staff", "Editors", "Guests")
    )
    room.groups.set([staff, editors])
    alice.groups.set([guests])
    assert sources(explain(alice, "r"))["groups"] == "alice is in none of the room's groups"
    alice.groups.set([staff, editors, guests])
    assert explain(alice, "r").sentence == "alice may join r: in the room's group Editors, Staff."
    refused = explain(alice, "r", "publish")
    assert rules(refused)["groups"] == "yes"
    assert rules(refused)["publishing"] == "no"
    assert refused.reason == "who may publish: moderators only"


@pytest.mark.django_db
def test_a_permission_for_all_rooms_tells_who_gives_it(alice):
    Room.objects.create(name="r")
    permission = Permission.objects.get(codename="join_room")
    alice.user_permissions.add(permission)
    assert explain(alice, "r").reason == "realtime.join_room given to alice directly"
    bots = Group.objects.create(name="Bots")
    bots.permissions.add(permission)
    alice.groups.add(bots)
    assert explain(alice, "r").reason == "realtime.join_room from group Bots"
    assert verdicts(alice, "r") == [NOTHING, NOTHING, NO, NOT_ASKED, YES]


@pytest.mark.django_db
def test_a_superuser_is_asked_nothing_more(alice, lobby):
    User.objects.update(is_superuser=True)
    explained = explain(alice, "lobby", "moderate")
    assert explained.sentence == "alice may moderate lobby: alice is a superuser."
    assert rules(explained)["RoomBackend"] == "not asked"


# What comes before


@pytest.mark.django_db
def test_who_can_not_sign_in_is_asked_nothing_more(alice, lobby, monkeypatch):
    monkeypatch.setattr(api_settings, "USER_AUTHENTICATION_RULE", refuse_everybody)
    refused = f"{__name__}.refuse_everybody refuses alice, id {alice.pk}"
    assert explain(alice, "lobby").reason == refused
    User.objects.update(is_active=False)
    explained = explain(alice, "lobby")
    assert explained.reason == f"alice, id {alice.pk}, is not active"
    assert {rule.verdict for rule in explained.rules[1:]} == {"not asked"}
    User.objects.all().delete()
    assert explain(alice, "lobby").reason == "alice is not in the database"


def refuse_everybody(user):
    return False


@pytest.mark.django_db
def test_the_user_is_read_anew(alice, lobby):
    room = Room.objects.create(name="r")
    alice.has_perm("realtime.join_room")
    User.objects.get().user_permissions.add(Permission.objects.get(codename="join_room"))
    assert explain(alice, room.name).allowed


@pytest.mark.django_db
@pytest.mark.parametrize("allowed", [False, True])
def test_who_is_not_signed_in_has_rules_too(settings, allowed):
    settings.REALTIME = {"ALLOW_ANONYMOUS": allowed}
    Room.objects.create(name="open", access="anyone")
    Room.objects.create(name="closed", access="authenticated")
    nobody = AnonymousUser()
    assert explain(nobody, "open").allowed is allowed
    assert explain(nobody, "open", "publish").allowed is False
    assert explain(nobody, "closed").allowed is False
    assert explain(nobody, "open").sentence.startswith("who is not signed in may")


@pytest.mark.django_db
def test_the_room_is_told_from_one_that_is_not_there(alice):
    Room.objects.create(name="staff", title="Our staff")
    Room.objects.create(name="old", access="anyone", archived=True)
    reasons = {
        "staf": "there is no such room; the nearest name is staff",
        "zzz": "there is no such room in the database, and none in code",
        "old": "it is archived, and nobody may enter an archived room",
    }
    for name, reason in reasons.items():
        explained = explain(alice, name)
        assert (explained.allowed, explained.reason) == (False, reason)
        assert rules(explained)["RoomBackend"] == "not asked"
    assert sources(explain(alice, "staff"))["room"] == "“Our staff” in the database"
    impossible = explain(alice, "a b")
    assert rules(impossible)["name"] == "no"
    assert rules(impossible)["room"] == "not asked"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("scopes", "may_join", "may_publish", "may_moderate"),
    [
        (None, True, True, True),
        ("", False, False, False),
        ("realtime:join", True, False, False),
        ("realtime:join realtime:publish", True, True, False),
        ("realtime:join:lobby realtime:publish:lobby", True, True, False),
        ("realtime:join:other realtime:publish", False, False, False),
        ("realtime:publish", False, False, False),
        ("realtime:moderate:lobby email", False, False, True),
    ],
)
def test_scopes_narrow_as_they_do_live(alice, lobby, scopes, may_join, may_publish, may_moderate):
    Membership.objects.create(room=lobby, user=alice, role="moderator")
    for action, expected in zip(
        backend.ACTIONS, (may_join, may_publish, may_moderate), strict=True
    ):
        explained = explain(alice, "lobby", action, scopes)
        assert explained.allowed == live(alice, "lobby", action, scopes) == expected


@pytest.mark.django_db
def test_the_scope_that_is_missing_or_there_is_named(alice, lobby):
    missing = explain(alice, "lobby", "join", "realtime:publish")
    assert missing.reason == "the token has neither realtime:join nor realtime:join:lobby"
    assert rules(missing)["superuser"] == "not asked"
    there = explain(alice, "lobby", "join", ["realtime:join:lobby"])
    assert sources(there)["scopes"] == "realtime:join:lobby"
    without_join = explain(alice, "lobby", "publish", "realtime:publish")
    assert rules(without_join)["join"] == "no"
    assert without_join.reason == f"no right to join ({missing.reason})"


@pytest.mark.django_db
def test_an_action_that_there_is_not_is_refused(alice):
    with pytest.raises(ValueError, match="join, publish, moderate"):
        explain(alice, "lobby", "shout")


@pytest.mark.django_db(transaction=True)
async def test_it_never_blocks_an_event_loop():
    user = await User.objects.acreate(username="alice")
    with pytest.raises(SynchronousOnlyOperation, match="aexplain"):
        explain(user, "lobby")
    assert not (await explanation.aexplain(user, "lobby")).allowed

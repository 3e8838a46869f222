"""Explanations: the outcome is that of the live system, and each rule names its source."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.exceptions import SynchronousOnlyOperation
from rest_framework_simplejwt.settings import api_settings

from realtime import rooms
from realtime.models import Membership, Room
from realtime.rights import backend, explanation
from realtime.rights.explanation import explain
from realtime.rooms import room_types
from tests.support.explanations import FUTURE, PAST, live, rules, sources, verdicts

YES, NO, NOTHING, NOT_ASKED = "yes", "no", "no decision", "not asked"


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
def test_a_membership_decides_alone_and_its_role_is_named(alice, lobby):
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
    expired = "role moderator, expired 2024-02-01 09:30 UTC, so it has no effect"
    assert sources(explained)["membership"] == expired
    assert rules(explained)["membership"] == "no decision"
    assert explained.reason == f"only members and the room's groups may enter; {expired}"


@pytest.mark.django_db
def test_the_groups_that_user_and_room_share_are_named(alice):
    room = Room.objects.create(name="r", publishing="moderators")
    staff, editors, guests = (
        Group.objects.create(name=name) for name in ("Staff", "Editors", "Guests")
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
def test_a_permission_for_all_rooms_is_named_with_its_source(alice):
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
def test_no_rules_are_asked_for_a_superuser(alice, lobby):
    User.objects.update(is_superuser=True)
    explained = explain(alice, "lobby", "moderate")
    assert explained.sentence == "alice may moderate lobby: alice is a superuser."
    assert rules(explained)["RoomBackend"] == "not asked"


@pytest.mark.django_db
def test_no_rules_are_asked_for_a_user_who_can_not_sign_in(alice, lobby, monkeypatch):
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
def test_the_user_is_read_again(alice, lobby):
    room = Room.objects.create(name="r")
    alice.has_perm("realtime.join_room")
    User.objects.get().user_permissions.add(Permission.objects.get(codename="join_room"))
    assert explain(alice, room.name).allowed


@pytest.mark.django_db
@pytest.mark.parametrize("allowed", [False, True])
def test_rules_are_explained_for_anonymous_users_too(settings, allowed):
    settings.REALTIME = {"ALLOW_ANONYMOUS": allowed}
    Room.objects.create(name="open", access="anyone")
    Room.objects.create(name="closed", access="authenticated")
    nobody = AnonymousUser()
    assert explain(nobody, "open").allowed is allowed
    assert explain(nobody, "open", "publish").allowed is False
    assert explain(nobody, "closed").allowed is False
    assert explain(nobody, "open").sentence.startswith("an anonymous user may")


@pytest.mark.django_db
def test_missing_and_archived_rooms_are_reported(alice, monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])
    Room.objects.create(name="staff", title="Our staff")
    Room.objects.create(name="old", access="anyone", archived=True)
    reasons = {
        "staf": "there is no such room; the nearest name is staff",
        "zzz": "there is no such room in the database, and none in code",
        "old": "the room is archived, and nobody may enter an archived room",
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
def test_scopes_limit_rights_as_in_the_live_system(
    alice, lobby, scopes, may_join, may_publish, may_moderate
):
    Membership.objects.create(room=lobby, user=alice, role="moderator")
    for action, expected in zip(
        backend.ACTIONS, (may_join, may_publish, may_moderate), strict=True
    ):
        explained = explain(alice, "lobby", action, scopes)
        assert explained.allowed == live(alice, "lobby", action, scopes) == expected


@pytest.mark.django_db
def test_the_missing_or_matching_scope_is_named(alice, lobby):
    missing = explain(alice, "lobby", "join", "realtime:publish")
    assert missing.reason == "the token has neither realtime:join nor realtime:join:lobby"
    assert rules(missing)["superuser"] == "not asked"
    there = explain(alice, "lobby", "join", ["realtime:join:lobby"])
    assert sources(there)["scopes"] == "realtime:join:lobby"
    without_join = explain(alice, "lobby", "publish", "realtime:publish")
    assert rules(without_join)["join"] == "no"
    assert without_join.reason == f"no right to join ({missing.reason})"


@pytest.mark.django_db
def test_an_unknown_action_is_refused(alice):
    with pytest.raises(ValueError, match="join, publish, moderate"):
        explain(alice, "lobby", "shout")


@pytest.mark.django_db(transaction=True)
async def test_explain_refuses_to_block_an_event_loop():
    user = await User.objects.acreate(username="alice")
    with pytest.raises(SynchronousOnlyOperation, match="aexplain"):
        explain(user, "lobby")
    assert not (await explanation.aexplain(user, "lobby")).allowed


@pytest.mark.django_db
def test_a_missing_room_is_reported_with_the_patterns_in_code(alice, monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])
    rooms.register("notes/<int:pk>")(type("NoteRoom", (rooms.RoomType,), {}))
    assert explain(alice, "zzz").reason.endswith("none in code (notes/<int:pk>)")

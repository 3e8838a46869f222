"""An explanation of a room in code has the outcome of its hooks."""

import itertools
import time

import pytest
from django.contrib.auth.models import Permission
from django.db import DatabaseError

from realtime import rooms
from realtime.rights import backend
from realtime.rights.explanation import explain
from realtime.rooms import room_types
from tests.support.explanations import live, rules, sources


def live_or_unavailable(*args):
    """A hook that can't read the database denies for now."""
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
    hook = "tests.realtime.rights.conftest.in_code.<locals>.Desk"
    assert sources(explained)["room"] == f"desk/<int:number> in code: {hook}"
    assert sources(explained)["can_join"] == f"{hook}.can_join returned True"
    refused = f"{hook}.can_moderate returned a value of type str, and only True counts as yes"
    assert explained.reason == sources(explained)["can_moderate"] == refused
    assert rules(explained)["permission"] == "no decision"


@pytest.mark.django_db
def test_a_hook_that_raises_denies_and_the_next_one_is_not_asked(alice, in_code):
    in_code(can_join=KeyError("x"))
    explained = explain(alice, "desk/5", "moderate")
    assert explained.reason.endswith("Desk.can_join raised KeyError")
    assert rules(explained)["can_join"] == "no"
    assert rules(explained)["can_moderate"] == "not asked"


@pytest.mark.django_db
def test_rules_that_take_too_long_deny(alice, in_code, settings, monkeypatch):
    in_code(can_join=True)
    assert explain(alice, "desk/5").allowed
    clock = itertools.count(step=5)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    explained = explain(alice, "desk/5")
    assert not explained.allowed
    assert explained.rules[-1].name == "time"
    assert explained.reason == "took 5.0 s, and RIGHTS_SECONDS allows 4.0 s"


@pytest.mark.django_db
def test_a_room_type_without_can_join_is_told_that_it_has_none(alice, monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])
    rooms.register("desk/<int:number>")(type("Desk", (rooms.RoomType,), {}))
    explained = explain(alice, "desk/5")
    assert not explained.allowed
    assert explained.reason.endswith("Desk has no can_join, and without one nobody enters")

"""Grants of the site: what can be granted, and to whom."""

import jwt
import pytest
from django.contrib.auth.models import AnonymousUser, User

from realtime import grant, revoke
from realtime.exceptions import InvalidRoomName
from realtime.names import is_room_name

pytestmark = pytest.mark.django_db


def claims(token):
    return jwt.decode(token, options={"verify_signature": False})


def test_a_user_or_a_key_gets_the_same(alice):
    for user in (alice, alice.pk, str(alice.pk)):
        read = claims(grant("orders/42", user=user, seconds=60))
        assert (read["channel"], read["sub"]) == ("orders/42", str(alice.pk))
        assert 59 < read["exp"] - read["iat"] <= 61


@pytest.mark.parametrize("user", [None, AnonymousUser(), User(), "", "alice"])
def test_nobody_gets_none(user):
    with pytest.raises(ValueError, match=r"stored|primary key"):
        grant("lobby", user=user)


@pytest.mark.parametrize("seconds", [0, -1, 30 * 24 * 3600 + 1, float("nan"), float("inf")])
def test_a_grant_ends(alice, seconds):
    with pytest.raises(ValueError, match="A grant ends after"):
        grant("lobby", user=alice, seconds=seconds)


def test_a_personal_room_is_granted_to_nobody(alice):
    with pytest.raises(ValueError, match="personal room"):
        grant(f"_user/{alice.pk}", user=alice)


@pytest.mark.parametrize("room", ["", "a b", "grants of lobby"])
def test_names_are_checked(alice, room):
    assert not is_room_name(room)
    with pytest.raises(InvalidRoomName):
        grant(room, user=alice)
    with pytest.raises(InvalidRoomName):
        revoke(room, alice)

"""`manage.py check` reports what a broadcast names and its model does not have."""

import pytest
from django.contrib.auth.models import User

from realtime.broadcasting.checks import check_broadcasts
from realtime.broadcasting.declared import Broadcast, declared
from realtime.broadcasting.names import RoomNames


@pytest.fixture
def found():
    """`found("users/{pk}", fields=...)`: what the check says about such a broadcast of users."""
    before = list(declared)
    declared.clear()

    def _found(rooms, **options):
        declared.append(Broadcast(User, RoomNames(rooms), **options))
        return [f"{message.msg} {message.hint}" for message in check_broadcasts(None)]

    yield _found
    declared[:] = before


def test_fields_properties_and_methods_are_fine(found):
    fields = ("username", "last_login", "pk", "is_anonymous", "get_full_name", "password")
    assert found(["users/{pk}", lambda user: "users"], fields=fields) == []


def test_a_misspelt_field_is_named_with_the_nearest(found):
    (message,) = found("users/{pk}", fields=("usernam",))
    assert "names 'usernam', which User does not have. Write 'username'." in message


def test_a_misspelt_attribute_of_a_room_or_a_target_is_named(found):
    names = found("users/{nmae}", fields=(), template="x", target="u-{pkk}", into="list-{zzz}")
    assert [message.partition("names ")[2][:6] for message in names[:3]] == [
        "'nmae'",
        "'pkk',",
        "'zzz',",
    ]


def test_a_relation_to_many_rows_is_refused(found):
    (message,) = found("users/{pk}", fields=("groups",))
    assert "relation to many rows" in message


def test_a_missing_template_and_a_missing_serializer_are_named(found):
    problems = found("users/{pk}", template="missing.html", serializer="site.serializers.Missing")
    assert "'missing.html', which is missing" in problems[0]
    assert "can't import its serializer" in problems[1]


def test_a_key_without_braces_is_reported(found):
    (message,) = found("users/pk", fields=("username",))
    assert message.endswith("has no braces in the name of its room. Write 'users/{pk}'.")

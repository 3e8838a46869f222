"""Patterns of room names: which names they match, and the name of an object's room."""

import uuid

import pytest
from django.core.exceptions import ImproperlyConfigured

from realtime.exceptions import InvalidRoomName
from realtime.names import check_name
from realtime.rooms.patterns import RoomPattern

KEY = uuid.UUID("6f9619ff-8b86-4011-b42d-00c04fc964ff")


@pytest.mark.parametrize(
    ("pattern", "name", "captured"),
    [
        ("orders/<int:pk>", "orders/42", {"pk": 42}),
        ("news", "news", {}),
        ("users/<uuid:pk>/inbox", f"users/{KEY}/inbox", {"pk": KEY}),
        ("shop/<slug:shop>/<int:number>", "shop/north-2/7", {"shop": "north-2", "number": 7}),
        ("files/<path:path>", "files/a/b.txt", {"path": "a/b.txt"}),
        ("<name>", "lobby", {"name": "lobby"}),
    ],
)
def test_a_name_and_its_parts_lead_to_each_other(pattern, name, captured):
    assert RoomPattern(pattern).match(name) == captured
    assert RoomPattern(pattern).reverse(captured) == name


@pytest.mark.parametrize(
    "name", ["orders/042", "orders/x", "orders/", "orders/4/2", "orders/42\n", "xorders/42"]
)
def test_an_object_has_one_room(name):
    assert RoomPattern("orders/<int:pk>").match(name) is None


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("", "is no pattern of room names"),
        (None, "is no pattern of room names"),
        ("/orders/<int:pk>", "begins with a slash, and no room name does. Write 'orders/<int:pk>'"),
        ("orders/<itn:pk>", "unknown converter 'itn'. Did you mean 'int'?"),
        ("orders/<xyz:pk>", "unknown converter 'xyz'. Known are int, "),
        ("orders/<int:p k>", "captures 'p k'"),
        ("orders/<int:user>", "captures 'user', which is no name"),
        ("orders/<int:pk>/<int:pk>", "captures 'pk' twice"),
        ("orders/<int:pk", "has a bracket without its partner"),
        ("orders/int:pk>", "has a bracket without its partner"),
        ("orders//<int:pk>", "matches no name that a room can have. Use 1 to 128 ASCII"),
        ("bestellungen für/<int:pk>", "matches no name that a room can have"),
        ("^orders/<int:pk>$", "matches no name that a room can have"),
        ("x" * 200, "matches no name that a room can have"),
    ],
)
def test_a_mistake_in_a_pattern_is_named_with_its_cure(pattern, sentence):
    with pytest.raises(ImproperlyConfigured) as refused:
        RoomPattern(pattern)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("captured", "sentence"),
    [
        ({}, "captures pk, but nothing came"),
        ({"pk": 1, "slug": "x"}, "captures pk, but pk, slug came"),
        ({"pk": None}, "pk=None makes no room name"),
        ({"pk": "x"}, "pk='x' makes no room name"),
        ({"pk": -1}, "pk=-1 makes no room name"),
    ],
)
def test_parts_that_make_no_name_are_refused(captured, sentence):
    with pytest.raises(ValueError, match=sentence):
        RoomPattern("orders/<int:pk>").reverse(captured)


def test_a_name_that_would_be_too_long_is_refused():
    with pytest.raises(ValueError, match="makes no room name"):
        RoomPattern("<slug:name>").reverse({"name": "x" * 129})


def test_a_name_that_would_be_the_room_of_other_parts_is_refused():
    pattern = RoomPattern("shops/<slug:shop>-<slug:item>")
    assert pattern.reverse({"shop": "a-b", "item": "c"}) == "shops/a-b-c"
    with pytest.raises(ValueError, match=r"would be the room of .*'a-b'.*Put a slash"):
        pattern.reverse({"shop": "a", "item": "b-c"})


@pytest.mark.parametrize(
    ("pattern", "captured"),
    [("<slug:shop>/<int:pk>", {"shop": "_user", "pk": 7}), ("<path:at>", {"at": "_user/7"})],
)
def test_no_object_has_the_personal_room_of_a_user(pattern, captured):
    with pytest.raises(ValueError, match="makes no room name"):
        RoomPattern(pattern).reverse(captured)


def test_braces_are_not_those_of_a_pattern():
    with pytest.raises(ImproperlyConfigured, match="has braces, which are for @broadcasts"):
        RoomPattern("notes/{pk}")


def test_double_braces_in_a_name_are_explained():
    with pytest.raises(InvalidRoomName, match="single braces"):
        check_name("notes/{{ note.pk }}")

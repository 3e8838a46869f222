"""The name of the room of an object."""

import pytest
from django.contrib.auth.models import AbstractUser, Group, User
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import SimpleLazyObject

from realtime import room_name, rooms
from realtime.models import Room
from realtime.rooms import room_types


@pytest.fixture(autouse=True)
def no_types(monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])


class Colleague(User):
    class Meta:
        app_label = "auth"
        proxy = True


def declare(pattern, of, name="UserRoom"):
    rooms.register(pattern)(type(name, (rooms.RoomType,), {"model": of}))


def test_the_captured_parts_come_from_the_attributes_of_the_object():
    declare("people/<int:pk>/<slug:username>", User)
    assert room_name(User(pk=7, username="alice")) == "people/7/alice"
    assert room_name(Colleague(pk=8, username="bob")) == "people/8/bob"


def test_the_nearest_class_decides():
    declare("users/<int:pk>", User)
    declare("people/<int:pk>", Colleague)
    assert room_name(User(pk=7)) == "users/7"
    assert room_name(Colleague(pk=7)) == "people/7"


def test_a_room_of_the_database_has_its_own_name():
    assert room_name(Room(name="lobby")) == "lobby"


def test_an_object_without_rooms_is_told_what_to_write():
    declare("users/<int:pk>", User)
    with pytest.raises(ImproperlyConfigured, match="Write `model = Group` in the room type"):
        room_name(Group(pk=1))


def test_of_several_rooms_none_is_guessed():
    declare("users/<int:pk>", User)
    declare("inbox/<int:pk>", User, "InboxRoom")
    with pytest.raises(ImproperlyConfigured) as refused:
        room_name(User(pk=7))
    assert (
        "User has several rooms: UserRoom ('users/<int:pk>'), InboxRoom ('inbox/<int:pk>')."
        in str(refused.value)
    )
    assert "UserRoom.name(…)" in str(refused.value)


def test_an_object_that_was_not_saved_has_no_room_yet():
    declare("users/<int:pk>", User)
    with pytest.raises(ValueError, match=r"User.pk is None, so the object has no room yet. Save"):
        room_name(User())


@pytest.mark.parametrize("value", ["orders/42", 42, None, User])
def test_only_objects_have_rooms(value):
    with pytest.raises(TypeError, match="is no model instance, so it has no room"):
        room_name(value)


@pytest.mark.parametrize("wrong", ["auth.User", 5, AbstractUser, dict])
def test_the_model_of_a_room_type_is_a_model(wrong):
    with pytest.raises(ImproperlyConfigured, match=r"UserRoom.model is .*Write a model"):
        declare("users/<int:pk>", wrong)


def test_the_captured_parts_are_attributes_of_the_model():
    with pytest.raises(ImproperlyConfigured, match="captures 'number', which User does not have"):
        declare("users/<int:number>", User)


def test_a_lazy_object_is_named_as_the_object_that_it_stands_for():
    declare("people/<int:pk>", User)
    assert room_name(SimpleLazyObject(lambda: User(pk=7))) == "people/7"
    with pytest.raises(ValueError, match=r"User\.pk is None"):
        room_name(SimpleLazyObject(User))

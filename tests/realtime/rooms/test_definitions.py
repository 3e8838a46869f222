"""Mistakes in room types: found at the start, each with its cure."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from realtime import rooms
from realtime.rooms import room_types


@pytest.fixture(autouse=True)
def no_types(monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])


def refused(pattern, **attributes):
    with pytest.raises(ImproperlyConfigured) as error:
        rooms.register(pattern)(type("OrderRoom", (rooms.RoomType,), attributes))
    return str(error.value)


def test_a_signature_that_does_not_take_the_captured_parts_is_refused():
    sentence = refused("orders/<int:pk>", can_join=lambda self, user: True)
    assert "OrderRoom.can_join(user) does not fit to the pattern 'orders/<int:pk>'" in sentence
    assert "Write `def can_join(self, user, pk)`." in sentence


@pytest.mark.parametrize(
    "hook",
    [
        lambda self, pk: True,
        lambda self, user, number: True,
        lambda self, user, pk, more: True,
        lambda self, pk, user: True,
        lambda user, pk: True,
    ],
)
def test_each_other_signature_is_refused(hook):
    assert "Write `def can_join(self, user, pk)`." in refused("orders/<int:pk>", can_join=hook)


def test_the_data_of_a_publish_hook_comes_before_the_captured_parts():
    sentence = refused("orders/<int:pk>", on_publish=lambda self, user, pk: None)
    assert "Write `def on_publish(self, user, data, pk)`." in sentence


class Good:
    def positional(self, user, pk):
        return True

    def more(self, user, pk, note=""):
        return True

    def keywords(self, user, **captured):
        return True

    @staticmethod
    def static(user, pk):
        return True

    async def coroutine(self, user, pk):
        return True


@pytest.mark.parametrize("name", ["positional", "more", "keywords", "static", "coroutine"])
def test_every_hook_that_can_be_called_is_accepted(name):
    attributes = {"can_join": vars(Good)[name]}
    rooms.register("orders/<int:pk>")(type("OrderRoom", (rooms.RoomType,), attributes))


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("can_joins", "Did you mean 'can_join'? Call it _can_joins if it is your own."),
        ("onpublish", "Did you mean 'on_publish'?"),
        ("can_see", "The hooks are can_join, can_publish, can_moderate, "),
        ("on_message", "The hooks are can_join, "),
    ],
)
def test_a_hook_that_does_not_exist_is_refused(name, cure):
    sentence = refused("news", **{name: lambda self, user: True})
    assert f"OrderRoom.{name} is no hook and no option of a room type. {cure}" in sentence


def test_an_option_that_does_not_exist_is_refused():
    assert "Did you mean 'history_size'?" in refused("news", history_sizes=5)


def test_methods_of_its_own_are_the_business_of_a_room_type():
    class Found:
        def order(self, pk):
            return pk

        def _can_see(self, user):
            return True

    class OrderRoom(Found, rooms.RoomType):
        label = "orders"

        def can_join(self, user, pk):
            return self._can_see(user)

    assert rooms.register("orders/<int:pk>")(OrderRoom) is OrderRoom


@pytest.mark.parametrize("value", [-1, "50", 2.5, True, None])
@pytest.mark.parametrize("name", ["history_size", "history_ttl_seconds"])
def test_history_is_a_whole_number(name, value):
    assert f"OrderRoom.{name} is {value!r}. Write a whole number" in refused(
        "news", **{name: value}
    )


def test_presence_is_true_or_false():
    assert "OrderRoom.presence is 'yes'. Write True or False." in refused("news", presence="yes")


@pytest.mark.parametrize("hook", ["on_join", "on_leave"])
def test_nobody_comes_or_goes_without_presence(hook):
    sentence = refused("news", presence=False, **{hook: lambda self, user: None})
    assert f"OrderRoom.{hook} is never called, because presence is False" in sentence


async def stream(self, user):
    yield True


def generator(self, user):
    yield True


@pytest.mark.parametrize("hook", [stream, generator])
def test_a_hook_that_yields_is_refused(hook):
    assert "OrderRoom.can_join has a `yield`" in refused("news", can_join=hook)


def test_a_hook_that_is_no_function_is_refused():
    assert "OrderRoom.can_join is True. Write `def can_join(self, user)`." in refused(
        "news", can_join=True
    )


@pytest.mark.parametrize("wrong", [type("OrderRoom", (), {}), lambda: None, rooms.RoomType()])
def test_what_is_no_room_type_is_refused(wrong):
    with pytest.raises(ImproperlyConfigured, match=r"Write `class OrderRoom\(rooms.RoomType\):`"):
        rooms.register("news")(wrong)


def test_two_patterns_that_match_the_same_names_are_refused():
    class Orders(rooms.RoomType):
        pass

    rooms.register("orders/<int:pk>")(Orders)
    sentence = refused("orders/<int:number>")
    assert "matches the same room names as 'orders/<int:pk>'" in sentence
    assert "registered for test_two_patterns" in sentence
    rooms.register("orders/<slug:name>")(Orders)
    sentence = refused("orders/7")
    assert "can never be found, because 'orders/<int:pk>' was registered before it" in sentence


def test_the_name_of_a_room_is_made_of_the_captured_parts():
    @rooms.register("orders/<int:pk>")
    @rooms.register("shops/<slug:shop>/orders")
    class OrderRoom(rooms.RoomType):
        pass

    assert OrderRoom.name(pk=42) == "orders/42"
    assert OrderRoom.name(shop="north") == "shops/north/orders"
    with pytest.raises(ValueError, match="captures shop, but nothing came"):
        OrderRoom.name()

    class Unknown(rooms.RoomType):
        pass

    with pytest.raises(ImproperlyConfigured, match=r"Write @rooms.register\('…'\) above it"):
        Unknown.name(pk=1)


def test_the_beginning_of_an_option_gets_the_option():
    with pytest.raises(ImproperlyConfigured, match="Did you mean 'history_size'"):
        rooms.register("x")(type("Desk", (rooms.RoomType,), {"history": 50}))

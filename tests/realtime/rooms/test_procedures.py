"""Methods of room types that clients call: mistakes found at the start, each with its cure."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from realtime import rooms
from realtime.rooms import handlers, room_types


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])
    monkeypatch.setattr(handlers, "_rpc", {})


def refused(declare):
    with pytest.raises(ImproperlyConfigured) as error:
        declare()
    return str(error.value)


def cancel(self, user, data, pk):
    return None


cancel.__qualname__ = "OrderRoom.cancel"


def order_room(pattern="orders/<int:pk>", **attributes):
    return rooms.register(pattern)(type("OrderRoom", (rooms.RoomType,), attributes))


def method(function):
    """The function as if it stood in a class."""
    function.__qualname__ = "OrderRoom.method"
    return rooms.rpc(function)


def test_a_procedure_is_found_by_the_room_and_its_name():
    class OrderRoom(rooms.RoomType):
        @rooms.rpc
        def cancel(self, user, data, pk):
            pass

        @rooms.rpc(right="moderate")
        async def ship(self, user, data, pk, client):
            pass

        def helper(self, user, data, pk):
            pass

    rooms.register("orders/<int:pk>")(OrderRoom)
    assert handlers.room_call("orders/42:cancel") == handlers.RoomCall(
        "orders/42", "cancel", "join"
    )
    assert handlers.room_call("orders/42:ship").right == "moderate"
    for other in ("orders/42:helper", "orders/42:can_join", "orders/42:name", "orders/42:__init__"):
        assert handlers.room_call(other) is None
    for other in (
        "orders/x:cancel",
        "lobby:cancel",
        ":cancel",
        "cancel",
        "orders/42:",
        "_user/1:a",
    ):
        assert handlers.room_call(other) is None
    assert handlers.rpc_names() == ["orders/<int:pk>:cancel", "orders/<int:pk>:ship"]


def test_a_subclass_has_the_procedures_and_may_close_one():
    class OrderRoom(rooms.RoomType):
        @rooms.rpc
        def cancel(self, user, data, pk):
            pass

        @rooms.rpc
        def ship(self, user, data, pk):
            pass

    @rooms.register("old/<int:pk>")
    class OldOrder(OrderRoom):
        def cancel(self, user, data, pk):
            pass

    assert handlers.room_call("old/42:cancel") is None
    assert handlers.room_call("old/42:ship").method == "ship"


@pytest.mark.parametrize(
    "function",
    [
        lambda self, user, pk: None,
        lambda self, user, data: None,
        lambda self, user, data, number: None,
        lambda self, user, data, pk, more: None,
    ],
)
def test_a_signature_that_does_not_fit_is_refused(function):
    sentence = refused(lambda: order_room(cancel=method(function)))
    assert "Write `def cancel(self, user, data, pk)`." in sentence


def test_the_id_of_the_connection_is_no_mistake_unless_the_pattern_captures_one():
    order_room(cancel=method(lambda self, user, data, pk, client: None))
    order_room("of/<client>", ask=method(lambda self, user, data, client: None))


def test_names_near_those_of_hooks_are_allowed():
    order_room(on_joining=method(lambda self, user, data, pk: None))


def test_a_hook_is_no_procedure():
    sentence = refused(lambda: order_room(on_join=method(lambda self, user, data, pk: None)))
    assert "OrderRoom.on_join is a part of each room type" in sentence


def test_a_function_needs_a_name():
    def count(user, data):
        pass

    assert 'Write @rooms.rpc("count").' in refused(lambda: rooms.rpc(count))


def test_a_method_needs_none():
    sentence = refused(lambda: rooms.rpc("cancel")(cancel))
    assert "Write @rooms.rpc without the name 'cancel'." in sentence


def test_an_unknown_right_is_refused():
    assert "rights are join, publish, moderate" in refused(lambda: rooms.rpc(right="own")(cancel))

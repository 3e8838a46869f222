"""What the room that a row has left is told, and which rooms a row has."""

import msgspec
import pytest

from realtime.broadcasting.declared import Broadcast
from realtime.broadcasting.messages import bodies
from realtime.broadcasting.names import RoomNames
from tests.support.shop import Item


@pytest.fixture
def told():
    """`told(target, row)`: what is said of a row that is deleted, or is in another room now."""

    def _told(target, row):
        names = RoomNames("shops/{shop}")
        broadcast = Broadcast(Item, names, ("name",), template="row.html", target=target)
        return [msgspec.json.decode(body)["data"] for body in bodies(broadcast, "deleted", row)]

    return _told


@pytest.mark.parametrize("target", ["row-{pk}", "row-{id}"])
def test_its_element_is_removed_by_the_primary_key(told, target):
    message, fragment = told(target, Item(pk=7, name="secret", shop="2"))
    assert message == {"event": "deleted", "model": "tests.item", "pk": 7}
    assert fragment == {"action": "remove", "target": "row-7"}


@pytest.mark.parametrize("row", [Item(pk=7), Item(pk=7, name="secret", shop="2")])
@pytest.mark.parametrize("target", ["row-{shop}", "row-{pk}-{name}"])
def test_other_values_of_the_row_are_not_told_and_no_other_element_is_removed(told, target, row):
    assert told(target, row) == [{"event": "deleted", "model": "tests.item", "pk": 7}]


def test_without_a_target_the_elements_of_the_template_go(told):
    assert told(None, Item(pk=7))[1] == {"action": "remove", "template": "row.html"}


def test_no_value_of_a_row_makes_its_room_a_personal_one(caplog):
    def rooms(text):
        return Broadcast(Item, RoomNames(text), ("name",)).rooms_of(Item(pk=7, shop="_user"))

    assert rooms("{shop}/{pk}") == []
    assert "would be the personal room '_user/7'. Begin it with a word" in caplog.text
    assert rooms("_user/{pk}") == ["_user/7"]
    assert rooms("shops/{shop}") == ["shops/_user"]

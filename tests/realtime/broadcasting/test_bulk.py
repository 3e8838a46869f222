"""Changes that Django reports by no signal are broadcast by a call."""

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from realtime import broadcast
from tests.support.shop import Item, Order

pytestmark = pytest.mark.django_db(transaction=True)


def test_updated_rows_are_changed(take):
    rows = [Order.objects.create(), Order.objects.create()]
    take()
    with transaction.atomic():
        Order.objects.update(status="sent")
        broadcast(Order.objects.all())
        broadcast(rows)
    sent = [(room, data["event"], data["fields"]["status"]) for room, data in take()]
    assert sent == [(f"orders/{row.pk}", "changed", "sent") for row in rows]


def test_rows_of_a_bulk_create_are_created(events):
    broadcast(Order.objects.bulk_create([Order(), Order()]), created=True)
    assert [event for _, event in events()] == ["created", "created"]


def test_rows_that_are_gone_are_deleted(events):
    order = Order.objects.create()
    events()
    Order.objects.filter(pk=order.pk)._raw_delete("default")
    broadcast(order)
    assert events() == [(f"orders/{order.pk}", "deleted")]


def test_rows_move_from_the_rooms_of_the_instances(events):
    item = Item.objects.create(name="cup", shop="north")
    events()
    Item.objects.update(shop="south")
    broadcast(item)
    assert events() == [
        ("shops/north", "deleted"),
        ("shops/south", "created"),
        ("items", "changed"),
    ]


def test_a_row_without_a_broadcast_or_a_key_is_refused(layer):
    with pytest.raises(TypeError, match=r"auth\.Group has no @broadcasts"):
        broadcast(Group(name="staff"))
    with pytest.raises(ValueError, match="primary key"):
        broadcast(Order())

"""The rows of a transaction are sent once, after its commit, as they are then."""

import pytest
from django.db import transaction

from tests.support.shop import Item, Order

pytestmark = pytest.mark.django_db(transaction=True)


def test_nothing_is_sent_before_the_commit(events):
    with transaction.atomic():
        order = Order.objects.create()
        assert events() == []
    assert events() == [(f"orders/{order.pk}", "created")]


def test_a_rollback_sends_nothing(events):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Order.objects.create()
        raise ZeroDivisionError
    assert events() == []
    Order.objects.create()
    assert len(events()) == 1


def test_a_row_is_sent_once_with_its_last_values(take):
    with transaction.atomic():
        order = Order.objects.create()
        for status in ("packed", "sent"):
            order.status = status
            order.save()
        Order.objects.filter(pk=order.pk).update(status="received")
    ((_, data),) = take()
    assert (data["event"], data["fields"]["status"]) == ("created", "received")


def test_a_row_that_comes_and_goes_is_not_sent(events):
    with transaction.atomic():
        Order.objects.create().delete()
    assert events() == []


def test_a_row_that_is_changed_and_deleted_is_deleted(events):
    order = Order.objects.create()
    room = f"orders/{order.pk}"
    events()
    with transaction.atomic():
        order.save()
        order.delete()
    assert events() == [(room, "deleted")]


def test_a_row_that_moves_twice_leaves_the_first_room_alone(events):
    item = Item.objects.create(name="cup", shop="north")
    events()
    with transaction.atomic():
        for shop in ("east", "south"):
            item.shop = shop
            item.save()
    assert events() == [
        ("shops/north", "deleted"),
        ("shops/south", "created"),
        ("items", "changed"),
    ]


def test_what_a_savepoint_takes_back_is_not_sent(events):
    kept = Order.objects.create()
    other = Order.objects.create()
    events()
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            other.save()
            raise ZeroDivisionError
        kept.save()
    assert events() == [(f"orders/{kept.pk}", "changed")]


def test_the_rows_of_two_transactions_are_apart(events):
    with transaction.atomic():
        first = Order.objects.create()
    with transaction.atomic():
        second = Order.objects.create()
    assert events() == [(f"orders/{first.pk}", "created"), (f"orders/{second.pk}", "created")]


def test_rows_that_are_saved_after_the_commit_are_sent_too(events):
    with transaction.atomic():
        first = Order.objects.create()
        transaction.on_commit(Order.objects.create)
        first.save()
    assert [event for _, event in events()] == ["created", "created"]

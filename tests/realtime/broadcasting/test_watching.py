"""Which changes of rows are noticed, and to which rooms they belong."""

import pytest
from django.db import connection

from tests.support.shop import GiftOrder, Holiday, Item, Note, OldOrder, Order

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_row_is_created_changed_and_deleted(events):
    order = Order.objects.create()
    assert events() == [(f"orders/{order.pk}", "created")]
    order.status = "paid"
    order.save()
    assert events() == [(f"orders/{order.pk}", "changed")]
    room = f"orders/{order.pk}"
    order.delete()
    assert events() == [(room, "deleted")]


def test_rows_that_a_queryset_deletes_are_noticed(events):
    Order.objects.create(), Order.objects.create()
    events()
    Order.objects.all().delete()
    assert [event for _, event in events()] == ["deleted", "deleted"]


def test_a_row_may_have_several_rooms(events):
    Item.objects.create(name="cup", shop="north")
    assert events() == [("shops/north", "created"), ("items", "created")]


def test_a_name_with_none_is_left_out(events):
    Item.objects.create(name="cup")
    assert events() == [("items", "created")]


def test_a_row_that_moves_is_deleted_in_one_room_and_created_in_the_other(events):
    item = Item.objects.create(name="cup", shop="north")
    events()
    Item(pk=item.pk, name="cup", shop="south").save()
    assert events() == [
        ("shops/north", "deleted"),
        ("shops/south", "created"),
        ("items", "changed"),
    ]
    item.shop = None
    item.save(update_fields=["shop"])
    assert events() == [("shops/south", "deleted"), ("items", "changed")]


def test_a_function_names_rooms(events):
    note = Note.objects.create(words="tea milk")
    assert events() == [("notes/tea", "created"), ("notes/milk", "created")]
    note.words = "milk sugar"
    note.save()
    assert events() == [
        ("notes/tea", "deleted"),
        ("notes/milk", "changed"),
        ("notes/sugar", "created"),
    ]


def test_names_that_stay_cost_no_query(events, django_assert_num_queries):
    order = Order.objects.create()
    with django_assert_num_queries(2):  # the save; after the commit the row
        order.save(update_fields=["status"])


def test_a_proxy_is_the_same_row(events):
    order = OldOrder.objects.create()
    order.save()
    order.delete()
    assert [event for _, event in events()] == ["created", "changed", "deleted"]


def test_a_child_is_a_row_of_its_parent_and_reported_once(take):
    gift = GiftOrder.objects.create(status="paid")
    room = f"orders/{gift.pk}"
    gift.save()
    GiftOrder.objects.get(pk=gift.pk).delete()
    sent = take()
    assert [(name, data["event"]) for name, data in sent] == [
        (room, "created"),
        (room, "changed"),
        (room, "deleted"),
    ]
    assert {data["model"] for _, data in sent} == {"tests.order"}


def test_models_with_an_abstract_parent_broadcast_as_themselves(take):
    day = Holiday.objects.create(day=24)
    assert take() == [
        (
            f"dated/{day.pk}",
            {"event": "created", "model": "tests.holiday", "pk": day.pk, "fields": {"day": 24}},
        )
    ]


def test_a_fixture_is_loaded_in_silence(events):
    Order(pk=7).save_base(raw=True)
    assert Order.objects.filter(pk=7).exists()
    assert events() == []


def test_a_change_without_a_signal_is_not_noticed(events):
    Order.objects.create()
    events()
    Order.objects.update(status="paid")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM tests_order")
    assert events() == []

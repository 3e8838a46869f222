"""What a row's message says, who gets it, and what happens if it can't be sent."""

import datetime
import uuid
from decimal import Decimal

import pytest
from django.db import transaction

from realtime import rooms
from realtime.layers.groups import group_name
from realtime.rooms import room_types
from tests.support.shop import Item, Note, Order, Product

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_message_has_the_fields_that_are_named_and_no_other(take):
    reference = uuid.uuid4()
    order = Order.objects.create(
        total=Decimal("9.90"), due=datetime.date(2026, 12, 24), reference=reference
    )
    assert take() == [
        (
            f"orders/{order.pk}",
            {
                "event": "created",
                "model": "tests.order",
                "pk": order.pk,
                "fields": {
                    "status": "new",
                    "total": "9.90",
                    "due": "2026-12-24",
                    "label": f"Order {order.pk}",
                    "reference": str(reference),
                },
            },
        )
    ]


def test_a_deleted_row_has_no_fields(take):
    order = Order.objects.create()
    pk = order.pk
    take()
    order.delete()
    assert take() == [(f"orders/{pk}", {"event": "deleted", "model": "tests.order", "pk": pk})]


def test_a_serializer_shapes_the_fields(take):
    Note.objects.create(words="tea milk")
    assert [data["fields"] for _, data in take()] == [{"count": 2}, {"count": 2}]


def test_a_broken_serializer_is_logged_by_name_and_the_others_go_on(take, caplog):
    with transaction.atomic():
        Note.objects.create(words="broken")
        Note.objects.create(words="fine")
    assert [room for room, _ in take()] == ["notes/fine"]
    assert "on tests.Note" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_name_that_no_room_can_have_is_logged(events, caplog):
    Item.objects.create(name="cup", shop="no such name")
    assert events() == [("items", "created")]
    assert "'shops/no such name'" in caplog.text


def test_a_request_goes_on_when_redis_is_away(layer, caplog):
    later = []
    layer.is_away = True
    with transaction.atomic():
        for _ in range(20):
            Order.objects.create()
        transaction.on_commit(lambda: later.append(1))
    assert later == [1]
    assert layer.tried == 1
    assert "20 message(s) to" in caplog.text


@pytest.fixture
def silent_rooms():
    """Rooms that keep nothing."""

    @rooms.register("orders/<int:pk>")
    class OrderRoom(rooms.RoomType):
        history_size = 0

        def can_join(self, user, pk):
            return True

    # Before the one for any name.
    room_types._types.insert(0, room_types._types.pop())
    yield
    del room_types._types[0]


def test_a_room_that_keeps_nothing_hears_only_while_somebody_is_in_it(
    layer, events, silent_rooms, django_assert_num_queries
):
    order = Order.objects.create()
    order.save()
    assert events() == []
    layer._groups[group_name(f"orders/{order.pk}")].add("somebody")
    order.save()
    assert events() == [(f"orders/{order.pk}", "changed")]


@pytest.fixture
def templates(settings):
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    (
                        "django.template.loaders.locmem.Loader",
                        {
                            "stock.html": "{{ object.name }}: {{ product.stock }}",
                            "row.html": "<li>{{ object.name }}</li>",
                        },
                    )
                ]
            },
        }
    ]


def test_a_template_is_rendered_for_its_element_and_for_a_list(take, templates):
    product = Product.objects.create(name="<Cup>", stock=3)
    pk = product.pk
    row = {"target": f"row-{pk}", "template": "row.html", "html": "<li>&lt;Cup&gt;</li>"}
    shown = {"action": "replace", "template": "stock.html", "html": "&lt;Cup&gt;: 3"}
    assert take() == [
        ("stock", {**row, "action": "prepend", "target": "rows"}),
        (f"stock/{pk}", shown),
    ]
    product.save()
    assert take() == [("stock", {**row, "action": "replace"}), (f"stock/{pk}", shown)]
    product.delete()
    assert take() == [
        ("stock", {"action": "remove", "target": f"row-{pk}"}),
        (f"stock/{pk}", {"action": "remove", "template": "stock.html"}),
    ]

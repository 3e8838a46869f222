"""Publishing from server code: what is sent, when, and what is refused.

Long, because it mirrors one module.
"""

import asyncio
import decimal
import re
import threading

import msgspec
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import channel_layers
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connection, transaction
from django.test import TestCase

from realtime import apublish, publish, rooms
from realtime.exceptions import (
    InvalidPayload,
    InvalidRoomName,
    LayerUnavailable,
    PayloadTooLarge,
    UnknownRoom,
)
from realtime.layers.groups import group_name
from realtime.layers.memory import MemoryRoomLayer
from realtime.models import Room
from realtime.rooms import room_types
from realtime.signals import publish_failed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def batches():
    """How many messages the layer got at once."""
    return []


@pytest.fixture
def down():
    """The rooms whose Redis is away, so to speak."""
    return set()


@pytest.fixture
def sent(lobby, batches, down):
    """The messages that the layer got: (room, data), in order."""

    class RecordingLayer(MemoryRoomLayer):
        def append_sync(self, room, body, keep, once):
            if room in down:
                raise LayerUnavailable("Redis does not answer")
            heard.append((room, msgspec.json.decode(body)["data"]))
            return super().append_sync(room, body, keep, once)

        def append_all_sync(self, appends):
            batches.append(len(appends))
            outcomes = []
            for append in appends:
                try:
                    outcomes.append(self.append_sync(*append))
                except LayerUnavailable as error:
                    outcomes.append(error)
            return outcomes

    heard: list[tuple[str, object]] = []
    before = channel_layers.set("default", RecordingLayer())
    yield heard
    channel_layers.backends = {} if before is None else {"default": before}


@pytest.fixture
def failures():
    """What `publish_failed` reports: (room, error, idempotency key)."""
    reported = []

    def receive(sender, room, error, idempotency_key, **kwargs):
        reported.append((room, type(error), idempotency_key))

    publish_failed.connect(receive)
    yield reported
    publish_failed.disconnect(receive)


def test_outside_a_transaction_a_message_is_sent_at_once(sent):
    publish("lobby", {"n": 1})
    assert sent == [("lobby", {"n": 1})]


def test_inside_a_transaction_a_message_is_sent_after_the_commit(sent):
    with transaction.atomic():
        publish("lobby", 1)
        publish("lobby", 2)
        assert sent == []
    assert sent == [("lobby", 1), ("lobby", 2)]


def test_a_rollback_sends_nothing(sent):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        publish("lobby", 1)
        raise ZeroDivisionError
    assert sent == []


def test_a_message_can_be_sent_at_once_inside_a_transaction(sent):
    with transaction.atomic():
        publish("lobby", 1, on_commit=False)
        assert sent == [("lobby", 1)]


def test_the_messages_of_a_transaction_leave_together(sent, batches):
    with transaction.atomic():
        for number in range(50):
            publish("lobby", number)
    assert (sent, batches) == ([("lobby", number) for number in range(50)], [50])
    with transaction.atomic():
        publish("lobby", 50)
    assert batches == [50, 1]


def test_a_savepoint_that_is_rolled_back_takes_its_messages_along(sent, batches):
    with transaction.atomic():
        publish("lobby", 1)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            publish("lobby", 2)
            raise ZeroDivisionError
        with transaction.atomic():
            publish("lobby", 3)
        publish("lobby", 4)
    assert (sent, batches) == ([("lobby", number) for number in (1, 3, 4)], [3])


def test_what_a_callback_publishes_is_sent_too(sent):
    with transaction.atomic():
        publish("lobby", 1)
        transaction.on_commit(lambda: publish("lobby", 2))
        publish("lobby", 3)
    assert sorted(sent) == [("lobby", 1), ("lobby", 2), ("lobby", 3)]


def test_only_the_callbacks_that_a_test_runs_send(sent):
    with transaction.atomic():
        publish("lobby", 1)
        with TestCase.captureOnCommitCallbacks(execute=True):
            publish("lobby", 2)
            publish("lobby", 3)
        assert sent == [("lobby", 2), ("lobby", 3)]
        transaction.set_rollback(True)
    assert sent == [("lobby", 2), ("lobby", 3)]


def test_a_room_is_looked_up_once_in_a_transaction(sent, django_assert_num_queries):
    with transaction.atomic(), django_assert_num_queries(1):
        for _ in range(5):
            publish("lobby", 1)


# Redis is away


def test_after_the_commit_a_failure_is_reported_and_breaks_nothing(sent, down, failures, caplog):
    Room.objects.create(name="news")
    down.add("lobby")
    later = []
    with transaction.atomic():
        publish("lobby", {"secret": 1}, idempotency_key="paid-1")
        publish("news", 2)
        publish("lobby", 3)
        transaction.on_commit(lambda: later.append(True))
    assert sent == [("news", 2)]
    assert later == [True]
    assert failures == [("lobby", LayerUnavailable, "paid-1"), ("lobby", LayerUnavailable, "")]
    [record] = caplog.records
    assert "2 message(s) to 'lobby' may not have been published: Redis does not" in record.message
    assert "publish_failed" in record.message
    assert "secret" not in caplog.text


def test_a_receiver_that_fails_breaks_nothing(sent, down):
    down.add("lobby")

    def receive(**kwargs):
        raise RuntimeError("a mistake of the site")

    publish_failed.connect(receive)
    with transaction.atomic():
        publish("lobby", 1)
        publish("lobby", 2)
    publish_failed.disconnect(receive)


def test_after_the_commit_it_raises_only_if_it_is_asked_to(sent, down, failures):
    down.add("lobby")
    with pytest.raises(LayerUnavailable), transaction.atomic():
        publish("lobby", 1)
        publish("lobby", 2, on_error="raise")
    assert len(failures) == 1


def test_outside_of_a_transaction_it_raises_unless_it_is_asked_not_to(sent, down, failures):
    down.add("lobby")
    with pytest.raises(LayerUnavailable):
        publish("lobby", 1)
    with pytest.raises(LayerUnavailable), transaction.atomic():
        publish("lobby", 1, on_commit=False)
    assert failures == []
    publish("lobby", 1, on_error="log")
    assert len(failures) == 1
    with pytest.raises(ValueError, match="on_error"):
        publish("lobby", 1, on_error="ignore")


@pytest.mark.parametrize("call", [publish, async_to_sync(apublish)], ids=["publish", "apublish"])
def test_an_error_that_nobody_expected_breaks_no_request_either(sent, caplog, call, monkeypatch):
    def broken(appends):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(channel_layers["default"], "append_all_sync", broken)
    with transaction.atomic():
        call("lobby", 1)
    assert "RuntimeError" in caplog.text


# Rooms that do not exist


@pytest.fixture
def orders():
    @rooms.register("orders/<int:pk>")
    class OrderRoom(rooms.RoomType):
        pass

    yield
    room_types._types.pop()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("orders/x", "none of the patterns in code matches it (orders/<int:pk>)"),
        ("lobbi", "Did you mean lobby?"),
        ("somewhere", "Create the room, or correct the name."),
    ],
)
def test_a_name_that_no_room_has_is_refused(sent, orders, name, words):
    for on_commit in (True, False):
        with pytest.raises(UnknownRoom, match=re.escape(words)), transaction.atomic():
            publish(name, 1, on_commit=on_commit)
    with pytest.raises(UnknownRoom, match=re.escape(words)):
        publish(name, 1)
    assert sent == []
    publish("orders/1", 1)
    assert sent == [("orders/1", 1)]


def test_an_unknown_room_breaks_nothing_if_errors_are_logged(sent, failures):
    publish("absent", 1, on_error="log", idempotency_key="k")
    with transaction.atomic():
        publish("absent", 1, on_error="log", idempotency_key="k")
    assert failures == [("absent", UnknownRoom, "k")] * 2


def test_an_error_that_is_kept_keeps_nothing_of_its_transaction(sent):
    with pytest.raises(UnknownRoom) as kept, transaction.atomic():
        publish("absent", 1)
    with transaction.atomic():
        assert transaction.get_connection().__dict__["_realtime_outgoing"]() is None
    assert kept.value.__traceback__


def test_a_room_that_is_made_in_the_transaction_is_known(sent):
    with transaction.atomic():
        Room.objects.create(name="new")
        publish("new", 1)
    assert sent == [("new", 1)]


def test_an_archived_room_is_no_mistake_of_the_site(sent):
    Room.objects.update(archived=True)
    publish("lobby", 1)
    assert sent == [("lobby", 1)]


# Coroutines in transactions


def test_a_coroutine_of_sync_code_waits_for_the_commit_of_its_transaction(sent, batches):
    with transaction.atomic():
        publish("lobby", 1)
        async_to_sync(apublish)("lobby", 2)
        assert sent == []
        async_to_sync(apublish)("lobby", 0, on_commit=False)
        assert sent == [("lobby", 0)]
    assert sent == [("lobby", 0), ("lobby", 1), ("lobby", 2)]
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        async_to_sync(apublish)("lobby", 3)
        raise ZeroDivisionError
    assert len(sent) == 3


async def test_a_coroutine_waits_for_a_transaction_that_it_has_begun(sent):
    atomic = transaction.atomic()
    await sync_to_async(atomic.__enter__)()
    await apublish("lobby", 1)
    assert sent == []
    await sync_to_async(atomic.__exit__)(None, None, None)
    assert sent == [("lobby", 1)]


async def test_the_async_form_reports_in_the_same_way(sent, down, failures):
    down.add("lobby")
    with pytest.raises(LayerUnavailable):
        await apublish("lobby", 1)
    await apublish("lobby", 1, on_error="log", idempotency_key="k")
    with pytest.raises(UnknownRoom):
        await apublish("absent", 1)
    await apublish("absent", 1, on_error="log")
    assert failures == [("lobby", LayerUnavailable, "k"), ("absent", UnknownRoom, "")]


def test_later_changes_of_the_data_are_not_sent(sent):
    data = {"status": "paid"}
    with transaction.atomic():
        publish("lobby", data)
        data["status"] = "changed later"
    assert sent == [("lobby", {"status": "paid"})]


def test_from_a_thread(sent):
    def work():
        publish("lobby", 1)
        connection.close()  # nobody else closes what a thread has opened

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert sent == [("lobby", 1)]


async def test_from_a_coroutine(sent):
    await apublish("lobby", [1])
    assert sent == [("lobby", [1])]


async def test_the_sync_form_refuses_to_block_an_event_loop(sent):
    with pytest.raises(SynchronousOnlyOperation, match="apublish"):
        publish("lobby", 1)


async def test_a_thread_reaches_the_members_of_a_running_loop():
    layer = MemoryRoomLayer()
    channel = await layer.new_channel()
    await layer.group_add(group_name("lobby"), channel)
    await asyncio.to_thread(layer.append_sync, "lobby", b"1")
    message = await asyncio.wait_for(layer.receive(channel), 60)
    assert (message["room"], message["offset"], message["body"]) == ("lobby", 1, b"1")


circular: list[object] = []
circular.append(circular)


@pytest.mark.parametrize(
    "data",
    [{1, 2}, decimal.Decimal("1.1"), float("nan"), float("-inf"), object(), b"x", "\ud800"]
    + [{"a": {1}}, circular, {(1, 2): 3}],
    ids=lambda data: type(data).__name__,
)
def test_a_value_that_is_not_json_is_refused_before_anything_is_sent(sent, data):
    with transaction.atomic(), pytest.raises(InvalidPayload):
        publish("lobby", data)
    assert sent == []


def test_two_megabytes_are_refused(sent):
    with pytest.raises(PayloadTooLarge, match="65536"):
        publish("lobby", "x" * 2_000_000)
    assert sent == []


@pytest.mark.parametrize("name", ["", "a b", "lobby\n", "../x", None])
def test_an_invalid_room_name_is_refused(sent, name):
    with pytest.raises(InvalidRoomName):
        publish(name, 1)


async def test_the_async_form_refuses_the_same(sent):
    with pytest.raises(InvalidPayload):
        await apublish("lobby", {1})
    with pytest.raises(InvalidRoomName):
        await apublish("a b", 1)
    assert sent == []

"""Publishing from server code: what is sent, when, and what is refused."""

import asyncio
import decimal
import threading

import msgspec
import pytest
from channels.layers import channel_layers
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connection, transaction

from realtime import apublish, publish
from realtime.exceptions import InvalidPayload, InvalidRoomName, PayloadTooLarge
from realtime.layers.groups import group_name
from realtime.layers.memory import MemoryRoomLayer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sent(settings):
    """The messages that the layer got: (room, data), in order."""

    class RecordingLayer(MemoryRoomLayer):
        def append_sync(self, room, body, keep, once):
            heard.append((room, msgspec.json.decode(body)["data"]))
            return super().append_sync(room, body)

    heard: list[tuple[str, object]] = []
    before = channel_layers.set("default", RecordingLayer())
    yield heard
    channel_layers.backends = {} if before is None else {"default": before}


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

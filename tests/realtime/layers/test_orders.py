"""The contract of the messages to the control group, on both layers."""

import asyncio

import pytest

from realtime.layers import base
from realtime.layers.groups import CONTROL_GROUP


async def send(layer, *numbers):
    for number in numbers:
        await asyncio.to_thread(layer.send_order_sync, {"type": "order", "number": number})


async def test_an_order_reaches_the_control_group(layer):
    channel = await layer.new_channel()
    await layer.group_add(CONTROL_GROUP, channel)
    await send(layer, 1)
    assert (await layer.receive(channel))["number"] == 1


async def test_orders_are_kept_for_those_who_could_not_receive_them(layer, request):
    if "memory" in request.node.callspec.id:
        pytest.skip("nobody loses the connection within a process")
    await send(layer, 1)
    position = await layer.last_order()
    assert await layer.orders_since(position) == (position, [])
    await send(layer, 2, 3)
    position, found = await layer.orders_since(position)
    assert [order["number"] for order in found] == [2, 3]
    assert position == await layer.last_order()


async def test_no_more_orders_are_kept_than_a_process_remembers(layer, request, monkeypatch):
    if "memory" in request.node.callspec.id:
        pytest.skip("nothing is kept within a process")
    monkeypatch.setattr("realtime.layers.redis.orders.ORDERS_KEPT", 3)
    await send(layer, *range(10))
    _, found = await layer.orders_since("")
    assert [order["number"] for order in found] == [7, 8, 9]
    assert base.ORDERS_KEPT > 1_000

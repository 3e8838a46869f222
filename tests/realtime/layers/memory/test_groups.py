"""The groups of one process: used from several threads and event loops."""

import asyncio

import pytest

from realtime.layers.memory import MemoryRoomLayer


async def test_a_thread_reaches_members_in_order():
    layer = MemoryRoomLayer()
    channel = await layer.new_channel()
    await layer.group_add("chat", channel)

    def send():
        for number in range(50):
            layer.group_send_sync("chat", {"type": "t", "n": number})

    await asyncio.to_thread(send)
    async with asyncio.timeout(60):
        assert [(await layer.receive(channel))["n"] for _ in range(50)] == list(range(50))


async def test_each_member_gets_its_own_copy():
    layer = MemoryRoomLayer()
    channels = [await layer.new_channel() for _ in range(2)]
    for channel in channels:
        await layer.group_add("chat", channel)
    await layer.group_send("chat", {"type": "t"})
    first, second = [await layer.receive(channel) for channel in channels]
    assert first == second and first is not second


async def test_a_consumer_that_stops_receiving_is_in_no_group():
    layer = MemoryRoomLayer()
    channel = await layer.new_channel()
    await layer.group_add("chat", channel)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(layer.receive(channel), 0.01)
    assert not layer._groups and not layer._channels


def test_a_loop_that_is_closed_misses_messages_without_an_error():
    layer = MemoryRoomLayer()

    async def join():
        channel = await layer.new_channel()
        await layer.group_add("chat", channel)

    asyncio.run(join())
    layer.group_send_sync("chat", {"type": "t"})

"""The contract of groups: who hears what, on both layers."""

import asyncio

from realtime.layers.base import PUBLICATION
from realtime.layers.groups import group_name


async def test_publications_are_numbered_from_one_and_broadcast(layer, listen):
    first, second = await listen("lobby"), await listen("lobby")
    for number in (1, 2):
        position = await layer.append("lobby", b'{"data":%d}' % number)
        assert position.offset == number
        for receive in (first, second):
            message = await receive()
            assert message == {
                "type": PUBLICATION,
                "room": "lobby",
                "epoch": position.epoch,
                "offset": number,
                "body": b'{"data":%d}' % number,
            }


async def test_rooms_have_their_own_numbers_and_hear_nothing_of_others(layer, listen):
    receive = await listen("lobby")
    await layer.append("Lobby", b"other")
    await layer.append("lobby", b"mine")
    message = await receive()
    assert (message["offset"], message["body"]) == (1, b"mine")


async def test_a_member_receives_everything_published_after_the_join(layer, listen):
    for number in range(20):
        receive = await listen(f"room-{number}")
        await layer.append(f"room-{number}", b"x")
        assert (await receive())["offset"] == 1


async def test_a_member_that_left_receives_nothing(layer):
    channel = await layer.new_channel()
    for room in ("left", "kept"):
        await layer.group_add(group_name(room), channel)
    await layer.group_discard(group_name("left"), channel)
    await layer.append("left", b"1")
    await layer.append("kept", b"2")
    assert (await asyncio.wait_for(layer.receive(channel), 5))["room"] == "kept"


async def test_concurrent_publishers_make_one_order_without_gaps(layer, listen):
    first, second = await listen("lobby"), await listen("lobby")
    await asyncio.gather(*(layer.append("lobby", b"%d" % n) for n in range(50)))
    heard = [[await receive() for _ in range(50)] for receive in (first, second)]
    assert [message["offset"] for message in heard[0]] == list(range(1, 51))
    assert heard[0] == heard[1]


async def test_other_channels_consumers_can_use_it(layer):
    channel = await layer.new_channel()
    await layer.group_add("chat", channel)
    await layer.group_send("chat", {"type": "chat.message", "text": "hi"})
    message = await asyncio.wait_for(layer.receive(channel), 60)
    assert message == {"type": "chat.message", "text": "hi"}
    await layer.send(channel, {"type": "chat.direct"})
    assert await asyncio.wait_for(layer.receive(channel), 5) == {"type": "chat.direct"}

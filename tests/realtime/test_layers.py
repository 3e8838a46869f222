"""The contract that both room layers keep: one set of tests for Redis and for one process."""

import asyncio
import contextlib
import uuid

import pytest

from realtime.exceptions import LayerUnavailable
from realtime.layers.base import PUBLICATION, RoomLayer
from realtime.layers.memory import MemoryRoomLayer
from realtime.layers.redis import RedisRoomLayer
from realtime.names import group_name


def redis_layer(url, **options):
    return RedisRoomLayer(hosts=[url], prefix=f"test-{uuid.uuid4().hex[:8]}", **options)


@pytest.fixture(params=["memory", "redis", "redis, encrypted"])
async def layer(request):
    if request.param == "memory":
        yield MemoryRoomLayer()
        return
    url = request.getfixturevalue("redis_server")
    options = {"symmetric_encryption_keys": ["k" * 32]} if "encrypted" in request.param else {}
    layer = redis_layer(url, **options)
    yield layer
    await layer.flush()


@pytest.fixture
def listen(layer):
    """Join a room's group: `receive = await listen("lobby")`."""

    async def _listen(room):
        channel = await layer.new_channel()
        await layer.group_add(group_name(room), channel)

        async def receive():
            return await asyncio.wait_for(layer.receive(channel), 5)

        return receive

    return _listen


async def test_it_is_a_room_layer(layer):
    assert isinstance(layer, RoomLayer)


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


async def test_the_sync_form_continues_the_same_numbers(layer, listen):
    receive = await listen("lobby")
    await layer.append("lobby", b"1")
    position = await asyncio.to_thread(layer.append_sync, "lobby", b"2")
    assert position.offset == 2
    assert [(await receive())["body"] for _ in range(2)] == [b"1", b"2"]


async def test_rooms_have_their_own_numbers_and_hear_nothing_of_others(layer, listen):
    receive = await listen("lobby")
    await layer.append("Lobby", b"other")
    await layer.append("lobby", b"mine")
    message = await receive()
    assert (message["offset"], message["body"]) == (1, b"mine")


async def test_the_position_is_that_of_the_last_publication(layer):
    before = await layer.position("lobby")
    assert before.offset == 0
    after = await layer.append("lobby", b"1")
    assert await layer.position("lobby") == after
    assert after.epoch == before.epoch


async def test_who_has_joined_misses_nothing_that_is_published_then(layer, listen):
    for number in range(20):
        receive = await listen(f"room-{number}")
        await layer.append(f"room-{number}", b"x")
        assert (await receive())["offset"] == 1


async def test_who_has_left_hears_nothing_more(layer):
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


async def test_a_ticket_is_redeemed_once_also_by_two_at_once(layer):
    await asyncio.to_thread(layer.store_ticket, "t", b"identity", 30)
    redeemed = await asyncio.gather(*(layer.redeem_ticket("t") for _ in range(5)))
    assert sorted(redeemed, key=bool) == [None] * 4 + [b"identity"]
    assert await layer.redeem_ticket("unknown") is None
    assert await layer.redeem_ticket("odd \ud800 \x00") is None


async def test_other_channels_consumers_can_use_it(layer):
    channel = await layer.new_channel()
    await layer.group_add("chat", channel)
    await layer.group_send("chat", {"type": "chat.message", "text": "hi"})
    message = await asyncio.wait_for(layer.receive(channel), 5)
    assert message == {"type": "chat.message", "text": "hi"}
    await layer.send(channel, {"type": "chat.direct"})
    assert await asyncio.wait_for(layer.receive(channel), 5) == {"type": "chat.direct"}


async def test_two_sites_on_one_redis_are_apart(redis_server):
    one, other = redis_layer(redis_server), redis_layer(redis_server)
    try:
        channel = await other.new_channel()
        await other.group_add(group_name("lobby"), channel)
        await one.append("lobby", b"1")
        await one._get_layer().room_shard("lobby").commands.ping()
        assert (await other.position("lobby")).offset == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await other.receive(channel)
    finally:
        await one.flush()
        await other.flush()


async def test_rooms_are_spread_over_shards(redis_server):
    layer = RedisRoomLayer(
        hosts=[f"{redis_server}/0", f"{redis_server}/1"], prefix=f"test-{uuid.uuid4().hex[:8]}"
    )
    try:
        shards = {id(layer._get_layer().room_shard(f"room-{n}")) for n in range(50)}
        assert len(shards) == 2
        for n in range(10):
            await layer.append(f"room-{n}", b"1")
            position = await asyncio.to_thread(layer.append_sync, f"room-{n}", b"2")
            assert position.offset == 2
    finally:
        await layer.flush()


async def test_a_redis_that_is_away_is_told_in_time(unused_port):
    layer = redis_layer(f"redis://127.0.0.1:{unused_port}")
    with contextlib.suppress(Exception):
        async with asyncio.timeout(5):
            with pytest.raises(LayerUnavailable):
                await layer.append("lobby", b"1")
            with pytest.raises(LayerUnavailable):
                await asyncio.to_thread(layer.append_sync, "lobby", b"1")
            with pytest.raises(LayerUnavailable):
                await layer.position("lobby")
            with pytest.raises(LayerUnavailable):
                await asyncio.to_thread(layer.store_ticket, "t", b"x", 1)

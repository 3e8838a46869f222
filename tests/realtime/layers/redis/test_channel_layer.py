"""The groups of Redis, as consumers of a site and the hub of rooms use them together."""

import asyncio

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer

from realtime.exceptions import LayerUnavailable
from realtime.layers.groups import group_name
from realtime.layers.redis import RedisRoomLayer
from tests.support.processes import free_port


@pytest.fixture
async def layer(open_redis_layer):
    return open_redis_layer()


@pytest.fixture
def hear(layer):
    """A member of the lobby with callbacks: `messages, publications = await hear()`."""

    async def _hear():
        heard = asyncio.Queue(), asyncio.Queue()
        channel = await layer.new_channel()
        layer.on_message(channel, heard[0].put_nowait, lambda *it: heard[1].put_nowait(it))
        await layer.group_add(group_name("lobby"), channel)
        return heard

    return _hear


def test_it_is_the_layer_of_channels_redis_with_its_options():
    assert issubclass(RedisRoomLayer, RedisPubSubChannelLayer)
    layer = RedisRoomLayer(prefix="site", on_disconnect=None, serializer_format="json")
    assert layer.topology.keys.prefix == "site"


def test_one_host_instead_of_a_list_is_refused():
    with pytest.raises(ValueError, match="list of Redis hosts"):
        RedisRoomLayer(hosts="redis://localhost")


async def test_a_member_with_callbacks_and_one_without_hear_the_same(layer, listen, hear):
    receive = await listen("lobby")
    messages, publications = await hear()
    position = await layer.append("lobby", b"1")
    await layer.group_send(group_name("lobby"), {"type": "chat.message"})
    async with asyncio.timeout(60):
        assert (await receive())["body"] == b"1"
        assert await receive() == {"type": "chat.message"}
        room, epoch, publication = await publications.get()
        assert await messages.get() == {"type": "chat.message"}
    assert (room, epoch, publication.offset) == ("lobby", position.epoch, position.offset)


async def test_a_message_for_one_channel_reaches_its_callback(layer):
    channel = await layer.new_channel()
    heard = asyncio.Queue()
    layer.on_message(channel, heard.put_nowait, pytest.fail)
    await layer.send(channel, {"type": "chat.direct"})
    assert await asyncio.wait_for(heard.get(), 5) == {"type": "chat.direct"}


async def test_a_consumer_that_stopped_receiving_does_not_hold_up_others(layer, listen):
    gone = await layer.new_channel()
    await layer.group_add(group_name("lobby"), gone)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(layer.receive(gone), 0.01)
    receive = await listen("lobby")
    await layer.append("lobby", b"1")
    assert (await receive())["body"] == b"1"


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_name_that_cannot_be_sent_fails_alone(is_open, layer, hear):
    if is_open:
        await hear()
    local = layer._get_layer()
    with pytest.raises(UnicodeEncodeError):
        await asyncio.wait_for(layer.receive("\ud800"), 60)
    assert "\ud800" not in local.shards[0]._subscriber._wanted
    _, publications = await hear()
    await layer.append("lobby", b"1")
    room, _, publication = await asyncio.wait_for(publications.get(), 60)
    assert (room, publication.body) == ("lobby", b"1")


async def test_a_channel_that_redis_did_not_confirm_is_forgotten(open_redis_layer):
    """Clients of a site come again and again while Redis is away."""
    layer = open_redis_layer(hosts=[f"redis://127.0.0.1:{free_port()}"])
    with pytest.raises(LayerUnavailable):
        await layer.new_channel()
    local = layer._get_layer()
    assert not local.channels
    assert not local.shards[0]._subscriber._wanted


async def test_a_flushed_layer_has_no_members(layer, hear):
    await hear()
    await layer.flush()
    local = layer._get_layer()
    assert not (local.groups or local.channels or local.receivers or local.reconnect_callbacks)
    await layer.append("lobby", b"1")

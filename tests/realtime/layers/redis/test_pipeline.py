"""Commands to Redis: their order, their answers, and scripts that Redis has forgotten."""

import asyncio

import pytest

from realtime.exceptions import LayerUnavailable
from realtime.layers.redis import RedisRoomLayer
from realtime.rooms.publications import Retention

KEEP_THREE = Retention(3, 60)


@pytest.fixture
async def layer(open_redis_layer):
    return open_redis_layer()


@pytest.fixture
async def pipeline(layer):
    return layer.topology.room_pipeline("lobby")


async def test_commands_are_done_in_their_order(pipeline, layer):
    key = layer.topology.keys.room("lobby", "test")
    replies = [pipeline.send("RPUSH", key, number) for number in range(3)]
    listed = pipeline.send("LRANGE", key, 0, -1)
    assert await asyncio.gather(*replies) == [1, 2, 3]
    assert await listed == [b"0", b"1", b"2"]


async def test_a_reply_can_be_converted(pipeline):
    assert await pipeline.send("PING", convert=bytes.decode) == "PONG"


async def test_a_refused_command_fails_alone(pipeline):
    refused, answered = pipeline.send("NONSENSE"), pipeline.send("PING")
    with pytest.raises(LayerUnavailable):
        await refused
    assert await answered == b"PONG"


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_command_that_cannot_be_sent_fails_alone(is_open, layer, pipeline):
    """The replies to others must not move up by one: they may be of rooms of other people."""
    if is_open:
        await pipeline.send("PING")
    before = pipeline.send("ECHO", "a")
    with pytest.raises(UnicodeEncodeError):
        await layer.group_send("\ud800", {"type": "chat.message"})
    after = [pipeline.send("ECHO", text) for text in "bc"]
    assert await asyncio.gather(before, *after) == [b"a", b"b", b"c"]


async def test_appends_survive_that_redis_forgets_its_scripts(layer, pipeline, append_at_once):
    await append_at_once(layer, "lobby", b"1")
    await pipeline.send("SCRIPT", "FLUSH")
    await append_at_once(layer, "lobby", b"2", b"3")
    await layer.append("lobby", b"4", KEEP_THREE)
    page = await layer.history("lobby", limit=9)
    assert [(publication.offset, publication.body) for publication in page.publications] == [
        (2, b"2"),
        (3, b"3"),
        (4, b"4"),
    ]


async def test_threads_too_survive_that_redis_forgets_its_scripts(layer, pipeline):
    await pipeline.send("SCRIPT", "FLUSH")
    position = await asyncio.to_thread(layer.append_sync, "lobby", b"1")
    assert position.offset == 1


async def test_a_closed_pipeline_is_replaced(layer):
    first = await layer.append("lobby", b"1")
    await layer.flush()
    second = await layer.append("lobby", b"2")
    assert (second.epoch, second.offset) == (first.epoch, 2)


async def test_a_redis_that_can_not_be_reached_is_named_once_a_minute(unused_port, caplog):
    layer = RedisRoomLayer(hosts=[f"redis://user:secret@127.0.0.1:{unused_port}/0"])
    for _ in range(3):
        with pytest.raises(LayerUnavailable):
            await layer.history("lobby")
    await layer.flush()
    (record,) = [each for each in caplog.records if "does not answer" in each.getMessage()]
    assert f"127.0.0.1:{unused_port}" in record.getMessage()
    assert "secret" not in caplog.text

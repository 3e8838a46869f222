"""A room that is damaged, or gets foreign bytes, does not spoil what belongs to others."""

import asyncio
import logging
import uuid

import pytest
from django.contrib.auth.models import User

from realtime.authentication import Identity
from realtime.layers.groups import group_name
from realtime.layers.redis import RedisRoomLayer
from realtime.models import Room
from realtime.rooms.publications import Retention
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def hub_layer(redis_server):
    layer = RedisRoomLayer(hosts=[redis_server], prefix=f"test-{uuid.uuid4().hex[:8]}")
    yield layer
    await layer.flush()


@pytest.fixture
async def people(open_session, alice, lobby):
    """Alice and Bob, each in the lobby and in another room."""
    await Room.objects.acreate(name="other", access=Room.Access.AUTHENTICATED)
    bob = await User.objects.acreate_user("bob", "bob@example.com", "secret")
    sessions = [open_session(Identity(user)) for user in (alice, bob)]
    for session in sessions:
        await call(session, connect={})
        for room in ("lobby", "other"):
            assert "subscribe" in await call(session, subscribe={"channel": room})
        await session.node.presence.settle("lobby")
        await session.node.presence.settle("other")
    return sessions


async def until(holds):
    async with asyncio.timeout(60):
        while not await holds():
            await asyncio.sleep(0.02)


def pushed(session, kind, room):
    return [
        frame["push"][kind]
        for frame in session.transport.frames
        if frame.get("push", {}).get("channel") == room and kind in frame["push"]
    ]


async def present(node, room):
    return (await node.layer.presence(room)).clients


async def test_presence_of_all_rooms_goes_on_and_the_broken_one_is_rebuilt(node, people):
    layer = node.layer
    key = layer.topology.keys.room("lobby", "people")
    await layer.topology.room_pipeline("lobby").send("SET", key, "foreign")
    node.presence.refresh()
    await until(lambda: _is(present(node, "lobby"), 2))
    assert await present(node, "other") == 2
    await call(people[0], unsubscribe={"channel": "other"})
    await node.presence.settle("other")


async def _is(answer, expected):
    return await answer == expected


async def test_members_of_a_damaged_room_start_again_and_others_hear_on(node, people, caplog):
    alice, bob = people
    layer = node.layer
    for part in ("meta", "stream"):
        key = layer.topology.keys.room("lobby", part)
        await layer.topology.room_pipeline("lobby").send("SET", key, "foreign")
    node.hub.check_all()

    async def is_told():
        return bool(pushed(alice, "unsubscribe", "lobby"))

    await until(is_told)
    assert pushed(alice, "unsubscribe", "lobby")[0]["code"] == 2500
    assert "subscribe" in await call(alice, subscribe={"channel": "lobby"})
    for room in ("lobby", "other"):
        assert "publish" in await call(alice, publish={"channel": room, "data": 1})

    async def is_heard():
        return bool(pushed(alice, "pub", "lobby") and pushed(bob, "pub", "other"))

    await until(is_heard)
    assert not pushed(bob, "unsubscribe", "other")
    assert "'lobby'" in caplog.text and "'other'" not in caplog.text


async def test_foreign_bytes_are_reported_with_the_room_and_no_traceback(node, people, caplog):
    layer = node.layer
    keys, pipeline = layer.topology.keys, layer.topology.room_pipeline("lobby")
    channel = keys.pubsub(keys.room_group("lobby"))
    for message in (b"x", b"\xc1x", b"\xc1999:ffff\nlobby\n{}"):
        await pipeline.send("PUBLISH", channel, message)
    await layer.group_send(group_name("lobby"), {"type": "realtime.presence", "room": "lobby"})
    assert "publish" in await call(people[0], publish={"channel": "other", "data": 1})

    async def is_heard():
        return bool(pushed(people[1], "pub", "other"))

    await until(is_heard)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert any("'lobby'" in record.getMessage() for record in warnings)
    assert not any(record.exc_info for record in warnings)


async def test_a_broadcast_that_was_never_kept_is_not_looked_for_for_ever(node, people):
    """It has the epoch of the room, but an offset that the stream does not know."""
    layer = node.layer
    keys, pipeline = layer.topology.keys, layer.topology.room_pipeline("lobby")
    position = (await layer.positions(["lobby"]))["lobby"]
    message = b"\xc199:%b\nlobby\n{}" % position.epoch.encode()
    await pipeline.send("PUBLISH", keys.pubsub(keys.room_group("lobby")), message)

    async def is_told():
        return bool(pushed(people[0], "unsubscribe", "lobby"))

    await until(is_told)


async def test_a_kept_message_that_cannot_be_read_makes_its_room_start_again(node, people, caplog):
    await Room.objects.acreate(name="quiet", access=Room.Access.AUTHENTICATED)
    await node.layer.append("quiet", b'{"data":{"trunca', Retention(10, 60))
    await node.layer.append("other", b'{"data":1}', Retention(10, 60))
    before = (await node.layer.positions(["quiet"]))["quiet"]
    reply = await call(people[0], history={"channel": "quiet", "limit": 10})
    assert reply["history"]["publications"] == []
    assert reply["history"]["epoch"] != before.epoch
    reply = await call(people[0], history={"channel": "other", "limit": 10})
    assert len(reply["history"]["publications"]) == 1
    assert "'quiet'" in caplog.text
    assert not any(record.exc_info for record in caplog.records)

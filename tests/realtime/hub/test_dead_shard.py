"""A node whose second Redis hangs serves all rooms and users of the first one."""

import asyncio
import uuid

import pytest
from django.contrib.auth.models import User

from realtime.authentication import Identity
from realtime.control import announcements
from realtime.layers.redis import RedisRoomLayer
from realtime.models import Room
from tests.support import processes
from tests.support.faults import FaultProxy
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def dead_shard(tmp_path):
    port = processes.free_port()
    server = processes.start_redis(tmp_path, port)
    proxy = FaultProxy(port)
    yield proxy
    proxy.stop()
    server.stop()


@pytest.fixture
async def hub_layer(redis_server, dead_shard):
    hosts = [redis_server, f"redis://127.0.0.1:{dead_shard.port}"]
    layer = RedisRoomLayer(hosts=hosts, prefix=f"test-{uuid.uuid4().hex[:8]}")
    yield layer
    await layer.flush()


@pytest.fixture
async def names(hub_layer):
    """Rooms by the shard that holds them."""
    names = [f"room-{number}" for number in range(40)]
    await Room.objects.abulk_create(
        Room(name=name, access=Room.Access.AUTHENTICATED) for name in names
    )
    index = hub_layer.topology.room_index
    return [[name for name in names if index(name) == shard] for shard in (0, 1)]


async def a_user_of_the_living(layer):
    for number in range(20):
        user = await User.objects.acreate_user(f"user-{number}")
        key = layer.topology.keys.user(str(user.pk), "x").rpartition(":")[0]
        if layer.topology.index(key) == 0:
            return user
    raise AssertionError("no user is on the first shard")


@pytest.mark.parametrize("fault", ["refuse", "swallow"])
@pytest.mark.parametrize("from_the_beginning", [True, False])
async def test_the_living_go_on(
    fault, from_the_beginning, node, hub_layer, dead_shard, names, open_session, monkeypatch
):
    monkeypatch.setattr(announcements, "get_layer", lambda: hub_layer)
    living, dead = names
    user = await a_user_of_the_living(hub_layer)
    first = open_session(Identity(user))
    if not from_the_beginning:
        await call(first, connect={})
        await call(first, subscribe={"channel": dead[0]})
        await node.presence.settle(dead[0])
    getattr(dead_shard, fault)()
    if from_the_beginning:
        async with asyncio.timeout(60):
            assert "connect" in await call(first, connect={})
    second = open_session(Identity(user))
    async with asyncio.timeout(60):
        assert "connect" in await call(second, connect={})
        for room in living[:5]:
            assert "subscribe" in await call(second, subscribe={"channel": room})
            assert "publish" in await call(second, publish={"channel": room, "data": 1})
            reply = await call(second, presence={"channel": room})
            assert len(reply["presence"]["presence"]) == 1
        assert "error" in await call(second, subscribe={"channel": dead[1]})
        # A right that is withdrawn reaches the members.
        await Room.objects.filter(name=living[0]).aupdate(access=Room.Access.MEMBERS)
        await asyncio.to_thread(announcements.announce, announcements.review(room=living[0]))
        while not any("unsubscribe" in each.get("push", {}) for each in second.transport.frames):
            await asyncio.sleep(0.02)
    dead_shard.heal()
    await asyncio.to_thread(announcements._owed_marks.join)

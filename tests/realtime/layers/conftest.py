"""Both room layers, for the contract that they keep; and Redis layers for what only they have."""

import asyncio
import shlex
import uuid

import pytest
import redis

from realtime.exceptions import LayerUnavailable
from realtime.layers.groups import group_name
from realtime.layers.memory import MemoryRoomLayer
from realtime.layers.redis import RedisRoomLayer, acl
from realtime.rooms.publications import Retention

KEEP_THREE = Retention(3, 60)


@pytest.fixture
async def open_redis_layer(redis_server):
    """`layer = open_redis_layer(...)`: empty, with options of `RedisRoomLayer`."""
    opened = []

    def _open(**options):
        prefix = f"test-{uuid.uuid4().hex[:8]}"
        layer = RedisRoomLayer(**{"hosts": [redis_server], "prefix": prefix} | options)
        opened.append(layer)
        return layer

    yield _open
    for layer in opened:
        await layer.flush()


@pytest.fixture
def least_rights(redis_server):
    """`url = least_rights(prefix)`: Redis, for an account that may what the layer needs and no
    more."""
    users = []

    def _make(prefix, database=0):
        with redis.Redis.from_url(redis_server) as admin:
            rule = acl.rule(f"user-of-{prefix}", prefix, database)
            admin.execute_command(*shlex.split(rule.replace(">PASSWORD", ">secret")))
        users.append(f"user-of-{prefix}")
        address = redis_server.removeprefix("redis://")
        return f"redis://{users[-1]}:secret@{address}/{database}"

    yield _make
    with redis.Redis.from_url(redis_server) as admin:
        for user in users:
            admin.acl_deluser(user)


@pytest.fixture(params=["memory", "redis", "redis, encrypted", "redis, database 2"])
def layer(request):
    """Each of the layers, empty."""
    if request.param == "memory":
        return MemoryRoomLayer()
    open_redis_layer = request.getfixturevalue("open_redis_layer")
    if "encrypted" in request.param:
        return open_redis_layer(symmetric_encryption_keys=["k" * 32])
    prefix = f"test-{uuid.uuid4().hex[:8]}"
    url = request.getfixturevalue("least_rights")(prefix, 2 if "database" in request.param else 0)
    return open_redis_layer(hosts=[url], prefix=prefix)


@pytest.fixture
def listen(layer):
    """Join a room's group: `receive = await listen("lobby")`."""

    async def _listen(room):
        channel = await layer.new_channel()
        await layer.group_add(group_name(room), channel)

        async def receive():
            return await asyncio.wait_for(layer.receive(channel), 60)

        return receive

    return _listen


@pytest.fixture
def append_at_once():
    """Append many without waiting in between, and then wait until all are kept."""

    async def _append(layer, room, *bodies, keep=KEEP_THREE):
        outcomes = []
        for body in bodies:
            layer.append_soon(room, body, keep, outcomes.append)
        async with asyncio.timeout(60):
            while len(outcomes) < len(bodies):
                await asyncio.sleep(0.001)
        assert not any(isinstance(outcome, LayerUnavailable) for outcome in outcomes)

    return _append

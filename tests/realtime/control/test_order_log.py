"""Control messages that a process has missed are carried out later, and none twice."""

import asyncio
import uuid

import pytest
import redis
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from realtime.authentication import Identity
from realtime.control import announcements
from realtime.control.announcements import announce, notice, removal
from realtime.control.order_log import OrderLog
from realtime.layers.redis import RedisRoomLayer
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def hub_layer(redis_server, monkeypatch):
    """A layer of its own on Redis, which the site announces to."""
    layer = RedisRoomLayer(hosts=[redis_server], prefix=f"test-{uuid.uuid4().hex[:8]}")
    monkeypatch.setattr(announcements, "get_layer", lambda: layer)
    yield layer
    await layer.flush()


def is_notice(frame):
    data = frame.get("push", {}).get("message", {}).get("data", {})
    return data.get("realtime") == "notice"


def _count(message, received):
    if message["type"] == "realtime.notice":
        received.set()


async def order(message):
    await asyncio.to_thread(announce, message)


async def test_what_was_missed_is_carried_out_after_the_gap(open_session, node, alice, monkeypatch):
    bob = await sync_to_async(User.objects.create_user)("bob")
    gone, stays = open_session(Identity(alice)), open_session(Identity(bob))
    for each in (gone, stays):
        await call(each, connect={})
    received = asyncio.Event()
    with monkeypatch.context() as patch:
        # Lost, as on a connection that subscribes again.
        patch.setattr(node.control, "carry_out", lambda message: _count(message, received))
        await order(removal(user=alice, code=3503))
        await order(notice("Hello", user=bob))
        async with asyncio.timeout(60):
            await received.wait()
    node.control.on_gap()
    assert await gone.transport.until_closed() == 3503
    await stays.transport.until(is_notice)
    assert stays.transport.closed is None


async def test_what_was_heard_is_not_carried_out_again(open_session, node, alice):
    session = open_session(Identity(alice))
    await call(session, connect={})
    await order(notice("one", user=alice))
    await session.transport.until(is_notice)
    node.control.on_gap()
    await order(notice("two", user=alice))
    await session.transport.until(lambda frame: is_notice(frame) and "two" in str(frame))
    await node.control._catching_up
    assert [frame for frame in session.transport.frames if is_notice(frame)][1:] == [
        session.transport.frames[-1]
    ]


async def test_orders_from_before_a_process_started_do_not_concern_it(hub_layer):
    await order(notice("old", user="1"))
    log = OrderLog(hub_layer)
    await log.start()
    assert await log.missed() == []
    await order(notice("new", user="1"))
    assert [message["text"] for message in await log.missed()] == ["new"]
    assert await log.missed() == []


async def test_an_order_reaches_a_process_that_is_just_subscribing_again(
    open_session, node, alice, redis_server
):
    sessions = [open_session(Identity(alice)) for _ in range(4)]
    for session in sessions:
        await call(session, connect={})
    for session in sessions:
        with redis.Redis.from_url(redis_server) as client:
            client.client_kill_filter(_type="pubsub")
        await order(removal(user=alice, client=session.id, code=3503))
        assert await session.transport.until_closed() == 3503

"""A change in Django and a command at the same time: each order is forced, and the change wins.

A saved change takes the same way as on a site: signals, after the commit, through the layer.
"""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.db import transaction

from realtime import adisconnect, rooms
from realtime.authentication import Identity
from realtime.changes import changes
from realtime.codes import CloseCode
from realtime.connection.session import State
from realtime.hub.feed import Feed
from realtime.models import Membership
from realtime.rights import grants
from realtime.rooms import room_types
from tests.support.races import Gate, is_refused, join, save
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_change_before_the_join_refuses_it(session, withdraw):
    assert "subscribe" in await join(session), "the right is known, and kept"
    await call(session, unsubscribe={"channel": "staff"})
    await withdraw()
    assert is_refused(await join(session))


async def test_a_change_while_the_right_is_looked_up_refuses_the_join(session, withdraw, hold):
    looked_up = hold(grants, "_in_time", after=True)
    joining = asyncio.create_task(join(session))
    await looked_up.reached.wait()
    await withdraw()
    looked_up.open()
    assert is_refused(await joining)
    assert session.rooms == {}


async def test_a_change_between_the_right_and_the_entry_refuses_the_join(
    session, node, withdraw, hold
):
    started = hold(Feed, "join_point", after=True)
    joining = asyncio.create_task(join(session))
    await started.reached.wait()
    await withdraw()
    started.open()
    assert is_refused(await joining)
    assert session.rooms == {}


async def test_a_change_that_is_heard_of_after_the_entry_ends_it(session, withdraw):
    assert "subscribe" in await join(session)
    await withdraw()
    push = await session.transport.until(lambda frame: "unsubscribe" in frame.get("push", {}))
    assert (push["push"]["channel"], push["push"]["unsubscribe"]["code"]) == ("staff", 2000)
    assert session.state is State.CONNECTED


async def test_a_change_that_is_reported_late_ends_a_join_that_was_faster(
    session, withdraw, node, monkeypatch
):
    """Committed by another process: the right is read before, and the news comes after the join."""
    told = []
    monkeypatch.setattr(type(node.layer), "group_send_sync", lambda self, *news: told.append(news))
    monkeypatch.setattr("realtime.control.announcements.changes.record", lambda user, room: None)
    assert "subscribe" in await join(session)
    with pytest.raises(AssertionError):
        await withdraw()  # this process has not been told
    assert "staff" in session.rooms
    for group, message in told:
        await node.layer.group_send(group, message)
    monkeypatch.undo()
    await session.transport.until(lambda frame: "unsubscribe" in frame.get("push", {}))
    assert session.rooms == {}


async def test_a_right_that_is_given_is_there_at_the_next_try(session, alice, staff):
    assert is_refused(await join(session))
    await Membership.objects.acreate(room=staff, user=alice)
    assert "subscribe" in await join(session)


@pytest.fixture
def slow_room():
    """A room in code whose `on_publish` waits for the test, and which opens by membership."""
    gate = Gate()

    class SlowRoom(rooms.RoomType):
        def can_join(self, user):
            return Membership.objects.filter(room__name="staff", user=user).exists()

        async def on_publish(self, user, data):
            await gate.wait()

    rooms.register("slow")(SlowRoom)
    yield gate
    room_types._types.pop()


async def test_a_change_while_the_hook_thinks_refuses_the_publication(
    session, node, alice, membership, slow_room
):
    assert "subscribe" in await call(session, subscribe={"channel": "slow"})
    publishing = asyncio.create_task(call(session, publish={"channel": "slow", "data": 1}))
    await slow_room.reached.wait()
    await membership.adelete()  # the rule says no from now on …
    await sync_to_async(save)(alice, is_staff=True)  # … and something that concerns alice is told
    slow_room.open()
    assert is_refused(await publishing)
    assert (await node.layer.history("slow")).position.offset == 0


async def test_a_change_while_a_publication_is_kept_refuses_the_next_one(
    session, node, membership, monkeypatch
):
    assert "subscribe" in await join(session)
    kept, append_soon = Gate(), node.layer.append_soon

    async def when_opened(on_kept, failed):
        await kept.wait()
        on_kept(failed)

    def slowly(room, body, keep, on_kept):
        append_soon(room, body, keep, lambda failed: tasks.append(told(on_kept, failed)))

    def told(on_kept, failed):
        return asyncio.ensure_future(when_opened(on_kept, failed))

    tasks = []
    monkeypatch.setattr(node.layer, "append_soon", slowly)
    publishing = asyncio.create_task(call(session, publish={"channel": "staff", "data": 1}))
    await kept.reached.wait()
    await sync_to_async(save)(membership, muted=True)
    kept.open()
    assert "publish" in await publishing, "it was allowed when it was accepted"
    assert is_refused(await call(session, publish={"channel": "staff", "data": 2}))
    assert (await node.layer.history("staff")).position.offset == 1


async def test_a_user_muted_while_the_right_is_looked_up_does_not_publish(
    session, node, membership, hold
):
    looked_up = hold(grants, "_in_time", after=True)
    publishing = asyncio.create_task(call(session, publish={"channel": "staff", "data": 1}))
    await looked_up.reached.wait()
    await sync_to_async(save)(membership, muted=True)
    looked_up.open()
    assert is_refused(await publishing)
    assert (await node.layer.history("staff")).position.offset == 0


async def test_nothing_comes_after_the_unsubscribe_push(session, node, membership, staff):
    assert "subscribe" in await join(session)
    await membership.adelete()
    await session.transport.until(lambda frame: "unsubscribe" in frame.get("push", {}))
    seen = len(session.transport.frames)
    for number in range(5):
        await node.layer.append("staff", b'{"data":%d}' % number)
    await call(session, ping={})
    later = session.transport.frames[seen:]
    assert not [frame for frame in later if frame.get("push", {}).get("channel") == "staff"]


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "another"}])
async def test_a_user_who_ends_between_look_up_and_connection_is_closed(
    session, open_session, alice, hold, change
):
    """The user was read while all was well, and the news came before the connection was there."""
    looked_up = Identity(await User.objects.aget(pk=alice.pk), version=changes.version)
    second = open_session(looked_up)
    counted = hold(second.node.registry, "admit", after=True)
    connecting = asyncio.create_task(call(second, connect={}))
    await counted.reached.wait()
    await sync_to_async(save)(alice, **change)
    counted.open()
    await connecting
    assert await second.transport.until_closed() == CloseCode.INVALID_TOKEN


async def test_a_sign_in_that_ends_while_it_connects_is_closed(session, open_session, alice, hold):
    second = open_session(Identity(alice, session_id="s1"))
    counted = hold(second.node.registry, "admit", after=True)
    connecting = asyncio.create_task(call(second, connect={}))
    await counted.reached.wait()
    await adisconnect(session="s1")
    counted.open()
    await connecting
    assert await second.transport.until_closed() == CloseCode.INVALID_TOKEN


async def test_a_user_removed_from_a_group_is_out_of_its_rooms(session, alice, staff):
    group = await Group.objects.acreate(name="Staff")
    await alice.groups.aadd(group)
    await staff.groups.aadd(group)
    assert "subscribe" in await join(session)
    await alice.groups.aremove(group)
    await session.transport.until(lambda frame: "unsubscribe" in frame.get("push", {}))


async def test_a_transaction_that_rolls_back_tells_nobody(session, membership):
    assert "subscribe" in await join(session)
    version = changes.version

    def try_and_fail():
        with transaction.atomic():
            membership.delete()
            transaction.set_rollback(True)

    await sync_to_async(try_and_fail)()
    assert changes.version == version
    assert "staff" in session.rooms

"""A change in Django that comes at the same time as a command: every order, forced, and none loses.

What is saved goes the way it goes on a site: signals, after the commit, through the layer.
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
from realtime.layers import get_layer
from realtime.models import Membership, Room
from realtime.rights import grants
from realtime.rooms import room_types
from realtime.rooms.publications import Retention
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hub_layer(settings):
    """The site's own layer, which signals speak to."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
    return get_layer()


@pytest.fixture
def staff():
    return Room.objects.create(name="staff")


@pytest.fixture
async def membership(alice, staff):
    return await Membership.objects.acreate(room=staff, user=alice)


@pytest.fixture
async def session(open_session, node, alice):
    """Alice is connected, and the hub hears what changes."""
    session = open_session(Identity(alice))
    await call(session, connect={})
    async with asyncio.timeout(5):
        while changes.version < 0:
            await asyncio.sleep(0)
    return session


class Gate:
    """Holds what comes to it until it is opened."""

    def __init__(self):
        self.reached = asyncio.Event()
        self._open = asyncio.Event()

    def open(self):
        self._open.set()

    async def wait(self):
        self.reached.set()
        await self._open.wait()


@pytest.fixture
def hold(monkeypatch):
    """`gate = hold(object, "name", after=True)`: the next call stops before (or after) its work."""

    def _hold(target, name, *, after=False):
        gate, original, calls = Gate(), getattr(target, name), []

        async def held(*args, **kwargs):
            calls.append(1)
            if len(calls) > 1:
                return await original(*args, **kwargs)
            if not after:
                await gate.wait()
            result = await original(*args, **kwargs)
            if after:
                await gate.wait()
            return result

        monkeypatch.setattr(target, name, held)
        return gate

    return _hold


# What takes alice her right to be in the room `staff`, each by another way.
WITHDRAWALS = {
    "the membership is deleted": lambda membership: membership.delete(),
    "the membership has another user": lambda membership: _give_away(membership),
    "the room is archived": lambda membership: _save(membership.room, archived=True),
    "the room is deleted": lambda membership: membership.room.delete(),
    "the room is renamed": lambda membership: _save(membership.room, name="other"),
}


def _save(instance, **fields):
    for name, value in fields.items():
        setattr(instance, name, value)
    instance.save()


def _give_away(membership):
    _save(membership, user=User.objects.create_user("bob"))


@pytest.fixture(params=list(WITHDRAWALS))
def withdraw(request, membership, node):
    """Take the right away. The commit is done, and this process has been told, when it returns."""

    async def _withdraw():
        version = changes.version
        await sync_to_async(WITHDRAWALS[request.param])(membership)
        assert changes.version > version

    return _withdraw


def is_refused(reply):
    return reply["error"]["code"] == 103


async def join(session, **options):
    return await call(session, subscribe={"channel": "staff", **options})


# Joining


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


async def test_a_change_that_is_told_late_ends_what_was_entered_meanwhile(
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


# Publishing


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
    await sync_to_async(_save)(alice, is_staff=True)  # … and something that concerns alice is told
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
    await sync_to_async(_save)(membership, muted=True)
    kept.open()
    assert "publish" in await publishing, "it was allowed when it was accepted"
    assert is_refused(await call(session, publish={"channel": "staff", "data": 2}))
    assert (await node.layer.history("staff")).position.offset == 1


async def test_who_is_muted_while_the_right_is_looked_up_does_not_publish(
    session, node, membership, hold
):
    looked_up = hold(grants, "_in_time", after=True)
    publishing = asyncio.create_task(call(session, publish={"channel": "staff", "data": 1}))
    await looked_up.reached.wait()
    await sync_to_async(_save)(membership, muted=True)
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


# Coming back


async def position(node):
    await asyncio.sleep(0.005)  # the clock of changes counts milliseconds
    return (await node.layer.history("staff")).position


async def say(node, *numbers):
    for number in numbers:
        await node.layer.append("staff", b'{"data":%d}' % number, Retention(100, 300))


async def come_back(session, since):
    reply = await join(session, recover=True, epoch=since.epoch, offset=since.offset)
    return reply.get("subscribe") or reply


async def test_a_change_while_the_missed_are_read_gives_none_of_them(session, node, withdraw, hold):
    since = await position(node)
    await say(node, 1, 2, 3)
    read = hold(node.layer, "history", after=True)
    returning = asyncio.create_task(come_back(session, since))
    await read.reached.wait()
    await withdraw()
    read.open()
    assert is_refused(await returning)
    assert "publications" not in str(session.transport.frames)


async def test_who_was_shut_out_for_a_while_is_not_shown_that_time(
    session, node, alice, staff, membership
):
    since = await position(node)
    await say(node, 1)
    await membership.adelete()
    await say(node, 2)
    await Membership.objects.acreate(room=staff, user=alice)
    await say(node, 3)
    reply = await come_back(session, since)
    assert (reply["recovered"], reply.get("publications")) == (False, None)
    assert reply["offset"] == 3


async def test_who_was_let_in_again_before_anything_was_said_gets_everything(
    session, node, alice, staff, membership
):
    since = await position(node)
    await membership.adelete()
    await Membership.objects.acreate(room=staff, user=alice)
    await position(node)
    await say(node, 1, 2)
    reply = await come_back(session, since)
    assert (reply["recovered"], len(reply["publications"])) == (True, 2)


async def test_what_concerns_others_spoils_no_return(session, node, staff, membership):
    since = await position(node)
    await say(node, 1)
    await Membership.objects.acreate(room=staff, user=await bob())
    await sync_to_async(_save)(staff, title="Staff room", publishing="moderators")
    await sync_to_async(_save)(await User.objects.aget(username="alice"), first_name="Alice")
    await say(node, 2)
    reply = await come_back(session, since)
    assert (reply["recovered"], len(reply["publications"])) == (True, 2)


async def test_a_right_that_went_without_a_signal_is_not_shown_either(
    session, node, alice, staff, membership
):
    """A bulk update tells nobody; the regular review finds it."""
    assert "subscribe" in await join(session)
    since = await position(node)
    await Membership.objects.filter(pk=membership.pk).aupdate(muted=False, user=await bob())
    node.reviewer.look_at([session])
    await session.transport.until(lambda frame: "unsubscribe" in frame.get("push", {}))
    await say(node, 1)
    await Membership.objects.filter(pk=membership.pk).aupdate(user=alice)
    grants._known.clear()  # as after RECHECK_SECONDS
    await say(node, 2)
    reply = await come_back(session, since)
    assert (reply["recovered"], reply.get("publications")) == (False, None)
    since = await position(node)
    await call(session, unsubscribe={"channel": "staff"})
    await say(node, 3)
    reply = await come_back(session, since)
    assert (reply["recovered"], len(reply["publications"])) == (True, 1)


async def bob():
    return await sync_to_async(User.objects.create_user)("bob")


# Connecting


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
    await sync_to_async(_save)(alice, **change)
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


async def test_who_was_rid_of_a_group_is_out_of_its_rooms(session, alice, staff):
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

"""A user who comes back: nothing of a time without the right is shown, in any order."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from realtime.models import Membership
from realtime.rights import grants
from realtime.rooms.publications import Retention
from tests.support.races import bob, is_refused, join, save
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)


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


async def test_a_user_who_lost_access_for_a_while_does_not_see_the_messages_in_between(
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


async def test_a_user_who_regained_access_before_any_message_gets_everything(
    session, node, alice, staff, membership
):
    since = await position(node)
    await membership.adelete()
    await Membership.objects.acreate(room=staff, user=alice)
    await position(node)
    await say(node, 1, 2)
    reply = await come_back(session, since)
    assert (reply["recovered"], len(reply["publications"])) == (True, 2)


async def test_changes_that_concern_others_do_not_prevent_a_recovery(
    session, node, staff, membership
):
    since = await position(node)
    await say(node, 1)
    await Membership.objects.acreate(room=staff, user=await bob())
    await sync_to_async(save)(staff, title="Staff room", publishing="moderators")
    await sync_to_async(save)(await User.objects.aget(username="alice"), first_name="Alice")
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

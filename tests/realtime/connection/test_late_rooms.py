"""Rooms of a connect that can't be entered at that moment: the others are, and they follow."""

import asyncio

import pytest

from realtime.authentication import Identity
from realtime.connection import late_rooms
from realtime.exceptions import LayerUnavailable
from realtime.models import Membership, Room
from realtime.rights import grants
from realtime.rights.grants import agrant
from tests.support.sessions import call, is_publication

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(late_rooms, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(late_rooms, "LONGEST_PAUSE_SECONDS", 0.02)


@pytest.fixture
async def dead(node, alice, monkeypatch):
    """The rooms "living" and "dead", of which the layer does not answer for the second."""
    await Room.objects.acreate(name="living", access=Room.Access.AUTHENTICATED)
    room = await Room.objects.acreate(name="dead", access=Room.Access.MEMBERS)
    await Membership.objects.acreate(room=room, user=alice)
    back, history = asyncio.Event(), node.layer.history
    back.tried = asyncio.Event()

    async def answer(name, **options):
        if name == "dead" and not back.is_set():
            back.tried.set()
            raise LayerUnavailable("away")
        return await history(name, **options)

    monkeypatch.setattr(node.layer, "history", answer)
    return back


async def connect(open_session, alice, **options):
    session = open_session(Identity(alice))
    reply = await call(session, connect={"subs": {"dead": options, "living": {}}})
    assert list(reply["connect"]["subs"]) == ["living"]
    return session


def is_subscribe(frame):
    return "subscribe" in frame.get("push", {})


async def settled(session):
    async with asyncio.timeout(5):
        await asyncio.wait([session.late_rooms._task])


async def test_the_others_are_entered_and_the_late_one_follows(
    open_session, connected, alice, dead, node
):
    first = await node.layer.append("dead", b'{"data":0}')
    session = await connect(
        open_session, alice, recover=True, epoch=first.epoch, offset=first.offset
    )
    assert list(session.rooms) == ["living"]
    await call(connected, publish={"channel": "dead", "data": 1})
    dead.set()
    push = (await session.transport.until(is_subscribe))["push"]
    assert push["channel"] == "dead" and push["subscribe"]["recovered"] is True
    assert "publications" not in push["subscribe"]
    assert push["subscribe"]["offset"] == first.offset
    await call(connected, publish={"channel": "dead", "data": 2})
    await session.transport.until(
        lambda frame: is_publication(frame) and frame["push"]["pub"]["data"] == 2
    )
    frames = [frame["push"] for frame in session.transport.frames if "push" in frame]
    data = [push["pub"]["data"] for push in frames if "pub" in push]
    assert "subscribe" in frames[0] and data == [1, 2]
    await settled(session)


async def test_a_rule_that_can_not_be_asked_keeps_nobody_out_of_other_rooms(
    open_session, alice, dead, monkeypatch
):
    dead.set()
    is_known = asyncio.Event()

    async def ask(identity, name):
        if name == "dead" and not is_known.is_set():
            raise LayerUnavailable("away")
        return await agrant(identity, name)

    monkeypatch.setattr(grants, "agrant", ask)
    session = await connect(open_session, alice)
    is_known.set()
    assert (await session.transport.until(is_subscribe))["push"]["channel"] == "dead"


async def test_rights_hold_at_the_moment_of_entering(open_session, alice, dead):
    session = await connect(open_session, alice)
    await Membership.objects.all().adelete()
    dead.set()
    await settled(session)
    assert list(session.rooms) == ["living"]
    assert not any(map(is_subscribe, session.transport.frames))


async def test_a_client_that_subscribes_itself_is_in_once(open_session, alice, dead, node):
    session = await connect(open_session, alice)
    dead.set()
    reply = await call(session, subscribe={"channel": "dead"})
    await settled(session)
    pushes = sum(map(is_subscribe, session.transport.frames))
    assert ("subscribe" in reply) + pushes == 1
    assert list(session.rooms) == ["living", "dead"]


async def test_a_room_that_the_client_leaves_is_not_entered(open_session, alice, dead):
    session = await connect(open_session, alice)
    await call(session, unsubscribe={"channel": "dead"})
    dead.set()
    await settled(session)
    assert list(session.rooms) == ["living"]


async def test_the_end_of_the_connection_ends_it(open_session, alice, dead):
    session = await connect(open_session, alice)
    dead.tried.clear()
    async with asyncio.timeout(5):
        await dead.tried.wait()
    session.end()
    await settled(session)
    assert session.late_rooms._task.cancelled() and session.rooms == {}

"""Queries for rights: one for the first join, none for a cached one, few for many users."""

import asyncio
import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.utils import timezone

from realtime.authentication import Identity
from realtime.changes import changes
from realtime.connection.subscriptions import is_outdated
from realtime.models import Membership, Room
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def hearing(node):
    """This process is notified of changes, so it may use its caches."""
    await node.control.hear()


@pytest.fixture
def rooms():
    """One room for each rule that may give a right."""
    made = {
        access: Room.objects.create(name=access, access=access) for access in Room.Access.values
    }
    group = Group.objects.create(name="staff")
    made["group"] = Room.objects.create(name="group")
    made["group"].groups.add(group)
    made["role"] = Room.objects.create(name="role")
    group.permissions.add(Permission.objects.get(codename="moderate_room"))
    return made


@pytest.fixture
def connect(open_session):
    async def _connect(user):
        session = open_session(Identity(user, version=changes.version))
        await call(session, connect={})
        return session

    return _connect


async def join(session, room):
    return "subscribe" in await call(session, subscribe={"channel": room})


async def people(count):
    made = [User(username=f"person{number}", password="!") for number in range(count)]
    await User.objects.abulk_create(made)
    return made


@pytest.mark.parametrize("room", ["authenticated", "anyone", "group", "role"])
async def test_a_cold_join_takes_one_query_and_a_warm_one_none(
    rooms, alice, connect, count_queries, room
):
    await Membership.objects.acreate(room=rooms["role"], user=alice)
    await alice.groups.aset([await Group.objects.aget()])
    for expected in (1, 0):
        session = await connect(alice)
        with count_queries() as queries:
            assert await join(session, room)
            assert "publish" in await call(session, publish={"channel": room, "data": 1})
        assert len(queries) == expected


async def test_a_clock_that_is_set_back_keeps_no_right(
    rooms, alice, connect, count_queries, settings, monkeypatch
):
    settings.REALTIME = {"RECHECK_SECONDS": 0.01}
    now = time.time
    assert await join(await connect(alice), "authenticated")
    monkeypatch.setattr(time, "time", lambda: now() - 3600)
    await asyncio.sleep(0.02)
    with count_queries() as queries:
        assert await join(await connect(alice), "authenticated")
    assert len(queries) >= 1


async def test_a_membership_ends_in_time_if_the_clock_is_set_back(
    rooms, alice, connect, monkeypatch
):
    now, ends = time.time, timezone.now() + timedelta(seconds=0.5)
    await Membership.objects.acreate(room=rooms["role"], user=alice, expires_at=ends)
    session = await connect(alice)
    assert await join(session, "role")
    # Until it is asked again, which the database decides by its own clock.
    held = session.rooms["role"]
    monkeypatch.setattr(time, "time", lambda: now() - 3600)
    assert held.until <= time.monotonic() + 0.5
    async with asyncio.timeout(60):
        while not is_outdated(held, session.user_id, "role"):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("room", ["members", "absent"])
async def test_a_refusal_takes_one_query_each_time(rooms, alice, connect, count_queries, room):
    """Refusals are not cached: there is no limit to the number of missing names."""
    session = await connect(alice)
    for _ in range(2):
        with count_queries() as queries:
            assert not await join(session, room)
        assert len(queries) == 1


async def test_500_users_who_join_at_once_take_a_few_dozen_queries(rooms, connect, count_queries):
    sessions = [await connect(person) for person in await people(500)]
    with count_queries() as queries:
        assert all(await asyncio.gather(*(join(session, "authenticated") for session in sessions)))
    assert 1 <= len(queries) <= 36
    again = [await connect(session.identity.user) for session in sessions]
    with count_queries() as queries:
        assert all(await asyncio.gather(*(join(session, "authenticated") for session in again)))
    assert queries == []


async def test_500_connections_of_one_user_who_join_at_once_take_two_queries(
    rooms, alice, connect, count_queries
):
    sessions = [await connect(alice) for _ in range(500)]
    with count_queries() as queries:
        assert all(await asyncio.gather(*(join(session, "authenticated") for session in sessions)))
    assert 1 <= len(queries) <= 2


async def test_the_rooms_of_one_connect_command_are_looked_up_together(
    alice, open_session, count_queries
):
    names = [f"room{number}" for number in range(100)]
    await Room.objects.abulk_create([Room(name=name, access="authenticated") for name in names])
    session = open_session(Identity(alice, version=changes.version))
    with count_queries() as queries:
        reply = await call(session, connect={"subs": {name: {} for name in names}})
    assert len(reply["connect"]["subs"]) == 100
    assert 1 <= len(queries) <= 12


async def test_a_change_causes_queries_only_for_the_users_it_affects(
    rooms, alice, connect, count_queries
):
    (bob,) = await people(1)
    for user in (alice, bob):
        assert await join(await connect(user), "authenticated")
    changes.record(user=str(alice.pk), room="authenticated")
    for user, expected in ((alice, 1), (bob, 0)):
        session = await connect(user)
        with count_queries() as queries:
            assert await join(session, "authenticated")
        assert len(queries) == expected

"""Who is told of a change, and who stays connected."""

import asyncio
from math import inf

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db import transaction

from realtime.authentication import Identity
from realtime.concurrency import background
from realtime.control import lost_rights
from realtime.exceptions import LayerUnavailable
from realtime.models import Membership, Room
from tests.support.races import bob, join
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)


def is_told(frame):
    data = frame.get("push", {}).get("message", {}).get("data")
    return data == {"realtime": "rights"}


def times_told(session):
    return sum(map(is_told, session.transport.frames))


@pytest.fixture
async def stranger(open_session, session):
    """Bob, who is connected beside Alice."""
    other = open_session(Identity(await bob()))
    await call(other, connect={})
    return other


async def give_membership(session, room):
    await Membership.objects.acreate(room=room, user=session.identity.user)
    await session.transport.until(is_told)


async def test_a_new_room_is_told_only_to_those_who_may_enter_it(session, stranger, alice):
    def create():
        with transaction.atomic():
            room = Room.objects.create(name="new")
            Membership.objects.bulk_create([Membership(room=room, user=alice)])

    await sync_to_async(create)()
    await session.transport.until(is_told)
    assert times_told(stranger) == 0
    await give_membership(stranger, await Room.objects.aget(name="new"))
    assert times_told(stranger) == 1


async def test_a_save_that_changes_no_right_is_told_to_nobody(session, stranger, alice, staff):
    def save_often():
        for name in ("Alice", "Alicia"):
            user = User.objects.get(pk=alice.pk)
            user.first_name = name
            user.save()
        staff.save()

    await sync_to_async(save_often)()
    for each in (session, stranger):
        await give_membership(each, staff)
        assert times_told(each) == 1


async def test_other_devices_stay_when_a_sign_in_stores_a_harder_hash(
    session, open_session, membership, alice, settings
):
    settings.PASSWORD_HASHERS = [
        "tests.support.hashers.QuickPBKDF2PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]
    assert "subscribe" in await join(session)
    assert await sync_to_async(authenticate)(username="alice", password="secret")
    # What comes later has been reviewed later.
    await sync_to_async(Membership.objects.filter(user=alice).delete)()
    await session.transport.until(lambda frame: "unsubscribe" in frame.get("push", {}))
    assert session.transport.closed is None


async def test_a_new_password_after_a_harder_hash_closes(session, alice, settings):
    settings.PASSWORD_HASHERS = [
        "tests.support.hashers.QuickPBKDF2PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]

    def change():
        user = authenticate(username="alice", password="secret")
        user.set_password("another")
        user.save()

    await sync_to_async(change)()
    assert await session.transport.until_closed() == 3500


async def test_the_end_of_a_right_does_not_wait_for_a_redis_that_hangs(session, node, monkeypatch):
    answers, mark_changes = asyncio.Event(), node.layer.mark_changes

    async def hang(changes, **options):
        await answers.wait()
        await mark_changes(changes, **options)

    room = await Room.objects.acreate(name="private")
    await Membership.objects.acreate(room=room, user=session.identity.user)
    assert "subscribe" in await call(session, subscribe={"channel": "private"})
    monkeypatch.setattr(node.layer, "mark_changes", hang)
    await Membership.objects.all().adelete()
    await session.transport.until(lambda frame: "unsubscribe" in frame.get("push", {}))
    assert "private" not in session.rooms and node.reviewer._lost_rights.recording
    answers.set()
    await asyncio.gather(*node.reviewer._lost_rights.recording)
    user = session.user_id
    assert (await node.layer.last_changes([(user, "private")]))[0] == inf


async def test_a_lost_right_that_redis_could_not_take_is_recorded_when_it_is_back(
    session, node, monkeypatch, caplog
):
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.01)
    tried, is_back, mark_changes = asyncio.Event(), asyncio.Event(), node.layer.mark_changes

    async def unavailable(changes, **options):
        if not is_back.is_set():
            tried.set()
            raise LayerUnavailable("away")
        await mark_changes(changes, **options)

    room = await Room.objects.acreate(name="private")
    await Membership.objects.acreate(room=room, user=session.identity.user)
    assert "subscribe" in await call(session, subscribe={"channel": "private"})
    monkeypatch.setattr(node.layer, "mark_changes", unavailable)
    await sync_to_async(Membership.objects.all()._raw_delete)("default")  # sends no signal
    node.reviewer.on_gap()
    await session.transport.until(lambda frame: "unsubscribe" in frame.get("push", {}))
    await tried.wait()
    asked = [(session.user_id, "private")]
    assert (await node.layer.last_changes(asked))[0] != inf
    is_back.set()
    async with asyncio.timeout(30):
        while (await node.layer.last_changes(asked))[0] != inf:
            await asyncio.sleep(0.01)
    assert caplog.text.count("could not be recorded; retrying") == 1


async def test_of_very_many_lost_rights_a_change_of_all_is_recorded(monkeypatch):
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(lost_rights, "MOST_OWED", 2)
    written, done = [], asyncio.Event()

    class Layer:
        async def mark_changes(self, changes, *, gone):
            if len(changes) > 1:
                raise LayerUnavailable("away")
            written.append((set(changes), gone))
            done.set()

    lost = lost_rights.LostRights(Layer())
    await lost.record({(str(number), "lobby") for number in range(3)})
    async with asyncio.timeout(30):
        await done.wait()
    await lost.close()
    assert written == [({(None, None)}, False)]


async def test_a_room_whose_redis_is_dead_keeps_no_other_room_from_being_recorded(monkeypatch):
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.01)
    written, tries = [], asyncio.Semaphore(0)

    class Layer:
        async def mark_changes(self, changes, *, gone):
            tries.release()
            if any(room == "dead" for _, room in changes):
                raise LayerUnavailable("away")
            written.append(set(changes))

    lost = lost_rights.LostRights(Layer())
    await lost.record({("1", "dead"), ("1", "lobby")})
    async with asyncio.timeout(30):
        for _ in range(6):
            await tries.acquire()
    await lost.close()
    assert written == [{("1", "lobby")}]

"""What is said in the transaction that takes a right away does not reach who loses it."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction

from realtime import publish
from realtime.authentication import Identity
from realtime.control import reviewer
from realtime.models import Membership, Room
from realtime.rights import grants
from tests.support.races import bob, save
from tests.support.sessions import call, is_publication

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hub_layer(either_layer):
    """The layer of the site, too."""
    before = channel_layers.set("default", either_layer)
    yield either_layer
    channel_layers.set("default", before)


@pytest.fixture
async def alice_and_bob(open_session, alice):
    """Both are members of a room."""
    room = await Room.objects.acreate(name="team", access=Room.Access.MEMBERS)
    sessions = []
    for user in (alice, await bob()):
        await Membership.objects.acreate(room=room, user=user, role=Membership.Role.MEMBER)
        session = open_session(Identity(user))
        await call(session, connect={})
        assert "subscribe" in await call(session, subscribe={"channel": "team"})
        sessions.append(session)
    return sessions


def heard(session):
    return [
        frame["push"]["pub"]["data"] for frame in session.transport.frames if is_publication(frame)
    ]


async def until_heard(session, data):
    await session.transport.until(lambda frame: is_publication(frame) and data in heard(session))


def _delete_membership(user):
    Membership.objects.get(user=user).delete()


def _deactivate(user):
    save(User.objects.get(pk=user.pk), is_active=False)


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("take_away", [_delete_membership, _deactivate])
async def test_a_message_of_the_same_transaction(alice_and_bob, take_away, order):
    alice, bob = alice_and_bob

    @transaction.atomic
    def do():
        if order == "before":
            publish("team", "secret")
        take_away(alice.identity.user)
        if order == "after":
            publish("team", "secret")

    await sync_to_async(do)()
    await until_heard(bob, "secret")
    await sync_to_async(publish)("team", "later")
    await until_heard(bob, "later")
    assert heard(alice) == []
    assert heard(bob) == ["secret", "later"]


async def test_a_change_that_takes_nothing_away_delays_but_loses_nothing(
    alice_and_bob, monkeypatch
):
    """While the right is looked up, the messages wait, in their order."""
    alice, bob = alice_and_bob
    may_answer = asyncio.Event()
    review = grants.review

    async def slow_review(questions):
        await may_answer.wait()
        return await review(questions)

    monkeypatch.setattr(reviewer.grants, "review", slow_review)
    user = alice.identity.user

    def change():
        permission = Permission.objects.get(codename="add_group")
        user.user_permissions.add(permission)

    await sync_to_async(change)()
    for number in range(3):
        await sync_to_async(publish)("team", number)
        await until_heard(bob, number)
    assert heard(alice) == []
    may_answer.set()
    await until_heard(alice, 2)
    await sync_to_async(publish)("team", 3)
    await until_heard(alice, 3)
    assert heard(alice) == heard(bob) == [0, 1, 2, 3]


async def test_a_right_that_can_not_be_computed_holds_nothing_back(alice_and_bob, monkeypatch):
    alice, _ = alice_and_bob

    async def away(questions):
        raise RuntimeError("the database is away")

    monkeypatch.setattr(reviewer.grants, "review", away)
    group = await Group.objects.acreate(name="staff")
    await sync_to_async(alice.identity.user.groups.add)(group)
    await sync_to_async(publish)("team", "hello")
    await until_heard(alice, "hello")

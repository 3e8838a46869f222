"""A session in a room, ways to withdraw its right, and gates that force an order."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from realtime.authentication import Identity
from realtime.changes import changes
from realtime.layers import get_layer
from realtime.models import Membership, Room
from tests.support.races import Gate, save
from tests.support.sessions import call


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
    async with asyncio.timeout(60):
        while changes.version < 0:
            await asyncio.sleep(0)
    return session


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
    "the room is archived": lambda membership: save(membership.room, archived=True),
    "the room is deleted": lambda membership: membership.room.delete(),
    "the room is renamed": lambda membership: save(membership.room, name="other"),
}


def _give_away(membership):
    save(membership, user=User.objects.create_user("bob"))


@pytest.fixture(params=list(WITHDRAWALS))
def withdraw(request, membership, node):
    """Take the right away. The commit is done, and this process has been told, when it returns."""

    async def _withdraw():
        version = changes.version
        await sync_to_async(WITHDRAWALS[request.param])(membership)
        assert changes.version > version

    return _withdraw

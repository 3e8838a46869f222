"""A session in a room, ways to withdraw its right, gates that force an order; what is announced."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import connection, models

from realtime.authentication import Identity
from realtime.changes import changes
from realtime.control import announcements
from realtime.control.messages import Recheck, Rechecks
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


@pytest.fixture
def child_of():
    """`child_of(Room)`: a model of a site that extends a table, as django-polymorphic's do."""
    made = []

    def _make(parent):
        meta = type("Meta", (), {"app_label": "tests"})
        name = f"Extended{parent.__name__}"
        fields = {"__module__": __name__, "Meta": meta, "floor": models.IntegerField(default=0)}
        child = type(name, (parent,), fields)
        with connection.schema_editor() as editor:
            editor.create_model(child)
        made.append(child)
        return child

    yield _make
    for child in made:
        child.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.delete_model(child)
        get_user_model()._meta.apps.all_models["tests"].pop(child._meta.model_name)
        get_user_model()._meta.apps.clear_cache()


@pytest.fixture
def announced(monkeypatch):
    """The messages to all processes, in order."""
    sent = []
    monkeypatch.setattr(announcements, "_send", lambda layer, message, *marks: sent.append(message))
    return sent


@pytest.fixture(name="changes")
def announced_changes(announced):
    """`changes()`: (user, room) of what was announced since it was called last."""

    def _changes():
        found = [
            (change.user, change.room)
            for message in announced
            for change in (message.changes if isinstance(message, Rechecks) else [message])
        ]
        announced.clear()
        return found

    return _changes


@pytest.fixture
def told(announced):
    """`told()`: the audiences of what was announced since it was called last."""

    def _told():
        found = [message.audience for message in announced if isinstance(message, Recheck)]
        announced.clear()
        return found

    return _told

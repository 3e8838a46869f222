"""`exclude`: one connection does not get a message, and nothing else changes for it."""

import json

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.contrib.auth.models import AnonymousUser

from realtime import apublish, history, own_client, publish, publish_to_user, rooms, user_room
from realtime.authentication import Identity
from realtime.rooms import handlers
from tests.support.sessions import call, is_publication

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hub_layer(either_layer):
    return either_layer


@pytest.fixture(autouse=True)
def site_layer(hub_layer):
    before = channel_layers.set("default", hub_layer)
    yield hub_layer
    channel_layers.backends = {} if before is None else {"default": before}


@pytest.fixture
async def members(open_session, alice, lobby):
    """Two connections of Alice, in the lobby."""
    found = [open_session(Identity(alice)) for _ in range(2)]
    for session in found:
        await call(session, connect={})
        await call(session, subscribe={"channel": "lobby"})
    return found


def heard(session):
    return [
        (frame["push"]["pub"]["offset"], frame["push"]["pub"]["data"])
        for frame in session.transport.frames
        if is_publication(frame)
    ]


async def until(session, offset):
    await session.transport.until(
        lambda frame: is_publication(frame) and frame["push"]["pub"]["offset"] == offset
    )


async def test_all_but_that_connection_get_it_and_it_sees_no_gap(members):
    one, other = members
    await apublish("lobby", 1, exclude=one.id)
    await sync_to_async(publish)("lobby", 2, exclude=[one.id, "unknown"])
    await apublish("lobby", 3)
    for session in members:
        await until(session, 3)
    assert heard(one) == [(3, 3)]
    assert heard(other) == [(1, 1), (2, 2), (3, 3)]
    assert "exclude" not in json.dumps(other.transport.frames)
    one.node.hub.check_all()
    await apublish("lobby", 4)
    await until(one, 4)
    assert one.rooms.keys() == {"lobby"}
    assert [kept.data for kept in (await sync_to_async(history)("lobby")).messages] == [1, 2, 3, 4]


async def recover(session):
    await call(session, unsubscribe={"channel": "lobby"})
    command = {"channel": "lobby", "recover": True, "offset": 0}
    reply = (await call(session, subscribe=command))["subscribe"]
    assert reply["recovered"]
    found = [(each["offset"], each["data"]) for each in reply.get("publications", ())]
    return reply["offset"], found


async def test_it_is_not_recovered_either_and_the_position_moves_on(members):
    one, other = members
    for number, excluded in enumerate([one.id, one.id, "", one.id, ""], start=1):
        await apublish("lobby", number, exclude=excluded)
    assert await recover(one) == (2, [(3, 3), (5, 5)])
    assert await recover(other) == (0, [(number, number) for number in range(1, 6)])


async def test_a_recovery_of_nothing_else_ends_at_the_last_position(members):
    one, other = members
    for number in (1, 2):
        await apublish("lobby", number, exclude=one.id)
    assert await recover(one) == (2, [])
    assert await recover(other) == (0, [(1, 1), (2, 2)])


async def test_a_request_excludes_connections_of_its_own_user_alone(members, alice, rf):
    one, other = members
    for user in (alice, AnonymousUser()):
        request = rf.post("/", headers={"X-Realtime-Client": one.id})
        request.user = user
        await apublish("lobby", 1, exclude=own_client(request))
    await until(one, 2)
    await until(other, 2)
    assert heard(one) == [(2, 1)]
    assert heard(other) == [(1, 1), (2, 1)]
    request = rf.post("/", headers={"X-Realtime-Client": "x" * 5_000})
    request.user = alice
    await apublish("lobby", 1, exclude=own_client(request))
    assert own_client(rf.post("/")) == ""


async def test_of_the_devices_of_a_user_one_is_left_out(members, alice):
    one, other = members
    for session in members:
        await call(session, subscribe={"channel": user_room(alice)})
    await sync_to_async(publish_to_user)(alice, "unread", exclude=one.id)
    await until(other, 1)
    assert heard(one) == []


async def test_an_rpc_learns_the_connection_if_it_asks(members, monkeypatch):
    monkeypatch.setattr(handlers, "_rpc", {})

    @rooms.rpc("say")
    async def say(user, data, client):
        await apublish("lobby", data, exclude=client)
        return client

    one, other = members
    reply = await call(one, rpc={"method": "say", "data": "hello"})
    assert reply["rpc"]["data"] == one.id
    await until(other, 1)
    assert heard(one) == []

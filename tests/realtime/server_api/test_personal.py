"""Personal rooms: all devices of one user, and nobody else."""

import re
import uuid

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.exceptions import ImproperlyConfigured, ValidationError

from realtime import apublish_to_user, names, publish_to_user, rooms, user_room
from realtime.authentication import Identity
from realtime.changes import changes
from realtime.models import Room
from realtime.rights.explanation import explain
from tests.support.sessions import call, is_publication

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site_layer(hub_layer):
    """What the site publishes reaches the sessions of the test."""
    before = channel_layers.set("default", hub_layer)
    yield hub_layer
    channel_layers.backends = {} if before is None else {"default": before}


@pytest.fixture
def connect(open_session):
    async def _connect(user, **options):
        session = open_session(Identity(user, version=changes.version, **options))
        reply = await call(session, connect={})
        return session, reply["connect"].get("data", {}).get("user_room")

    return _connect


async def join(session, room):
    reply = await call(session, subscribe={"channel": room})
    return reply["error"]["code"] if "error" in reply else "joined"


@pytest.fixture
def bob():
    return User.objects.create_user("bob")


def data(frame):
    return frame["push"]["pub"]["data"]


def data_of(session):
    return [data(frame) for frame in session.transport.frames if is_publication(frame)]


async def test_all_devices_of_a_user_get_it_and_nobody_else(site_layer, connect, alice, bob):
    devices = [await connect(alice) for _ in range(2)]
    other, _ = await connect(bob)
    assert {room for _, room in devices} == {user_room(alice)} == {f"_user/{alice.pk}"}
    for session, room in devices:
        assert await join(session, room) == "joined"
    assert await join(other, user_room(alice)) == 103
    await apublish_to_user(alice, {"n": 1})
    await sync_to_async(publish_to_user)(alice.pk, {"n": 2})
    for session, _ in devices:
        await session.transport.until(lambda frame: is_publication(frame) and data(frame)["n"] == 2)
        assert data_of(session) == [{"n": 1}, {"n": 2}]
    assert data_of(other) == []


async def test_no_right_opens_it_to_others(connect, alice, bob):
    bob.is_superuser = True
    await bob.asave()
    carol = await User.objects.acreate(username="carol")
    for codename in ("join_room", "publish_room"):
        await carol.user_permissions.aadd(await Permission.objects.aget(codename=codename))
    for user in (bob, carol):
        session, room = await connect(user)
        assert await join(session, user_room(alice)) == 103
        assert await join(session, room) == "joined"
        assert (await call(session, publish={"channel": room, "data": 1}))["error"]["code"] == 103


async def test_a_token_may_be_narrower(connect, alice):
    session, room = await connect(alice, scopes=frozenset({"realtime:join:lobby"}))
    assert await join(session, room) == 103
    session, _ = await connect(alice, scopes=frozenset({f"realtime:join:{room}"}))
    assert await join(session, room) == "joined"


async def test_nobody_has_no_personal_room(connect, settings):
    settings.REALTIME = {**settings.REALTIME, "ALLOW_ANONYMOUS": True}
    session, room = await connect(AnonymousUser())
    assert room is None
    assert await join(session, "_user/None") == 103
    for nobody in (None, "", AnonymousUser(), User()):
        with pytest.raises(ValueError, match="who is stored"):
            user_room(nobody)


async def test_missed_messages_are_recovered(site_layer, connect, alice):
    session, room = await connect(alice)
    reply = (await call(session, subscribe={"channel": room}))["subscribe"]
    await call(session, unsubscribe={"channel": room})
    await apublish_to_user(alice, 1)
    since = {"recover": True, "epoch": reply["epoch"], "offset": reply["offset"]}
    again = (await call(session, subscribe={"channel": room, **since}))["subscribe"]
    assert again["recovered"]
    assert [publication["data"] for publication in again["publications"]] == [1]


async def test_it_takes_no_query_of_rooms(site_layer, connect, alice, count_queries):
    session, room = await connect(alice)
    with count_queries() as queries:
        assert await join(session, room) == "joined"
        await apublish_to_user(alice, 1)
    assert not [query for query in queries if "realtime" in query]


def test_explain_says_whose_it_is(alice, bob):
    room = user_room(alice)
    assert explain(alice, room).sentence == f"alice may join {room}: the personal room of alice."
    for user, action, reason in (
        (alice, "publish", "only the server publishes in a personal room"),
        (bob, "join", "the personal room of somebody else"),
    ):
        explained = explain(user, room, action)
        assert not explained.allowed
        assert reason in explained.sentence


ODD_KEYS = ["a b", "ümlaut", "x/y", "..", "a:b", "", "x" * 300, "\ud800"]


def test_every_key_has_a_name_of_its_own():
    keys = [1, -5, "1 ", uuid.UUID(int=1), "ann@example.com", *ODD_KEYS]
    found = [names.personal_room(str(key)) for key in keys]
    assert len(set(found)) == len(keys)
    assert all(names.is_room_name(name) and len(name) < 128 for name in found)
    assert found[3] == "_user/00000000-0000-0000-0000-000000000001"


def test_no_other_room_can_have_such_a_name():
    with pytest.raises(ValidationError, match="personal rooms"):
        Room(name="_user/1").full_clean()
    with pytest.raises(ImproperlyConfigured, match=re.escape("begins with '_user/'")):
        rooms.register("_user/<int:pk>")(rooms.RoomType)


def test_a_username_is_no_primary_key(bob):
    with pytest.raises(ValueError, match=r"'bob' is no primary key of auth\.User\. Give the user"):
        publish_to_user("bob", 1)
    assert user_room(str(bob.pk)) == user_room(bob)

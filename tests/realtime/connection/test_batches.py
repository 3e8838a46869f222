"""Subscribes of one frame, and rooms of a connect: prepared together, entered in order."""

import asyncio
import json

import pytest

from realtime import rooms
from realtime.authentication import Identity
from realtime.connection import batches, replies
from realtime.connection.outbox import Outbox
from realtime.models import Membership, Room
from realtime.rooms import room_types
from realtime.transports.asgi import ASGISink
from tests.support.sessions import call, is_publication, send

pytestmark = pytest.mark.django_db(transaction=True)

FIRST_ID = 2_000_000_000  # far beyond those of `call`
NAMES = [f"room-{number}" for number in range(100)]


@pytest.fixture
def hub_layer(either_layer):
    return either_layer


@pytest.fixture
async def many_rooms():
    await Room.objects.abulk_create(
        Room(name=name, access=Room.Access.AUTHENTICATED) for name in NAMES
    )


@pytest.fixture
def together(node, monkeypatch):
    """`together(100)`: the layer answers a hundred questions only when all are asked."""

    def _together(count):
        all_asked, history = asyncio.Barrier(count), node.layer.history

        async def wait_for_all(*args, **options):
            async with asyncio.timeout(60):
                await all_asked.wait()
            return await history(*args, **options)

        monkeypatch.setattr(node.layer, "history", wait_for_all)

    return _together


@pytest.fixture
def held(node, monkeypatch):
    """The layer is asked for the room "first" (`held.asked`), and answers when this is set."""
    let_go, history = asyncio.Event(), node.layer.history
    let_go.asked = asyncio.Event()

    async def wait(room, **options):
        if room == "first":
            let_go.asked.set()
            await let_go.wait()
        return await history(room, **options)

    monkeypatch.setattr(node.layer, "history", wait)
    return let_go


@pytest.fixture
async def two_rooms(alice):
    await Room.objects.acreate(name="first", access=Room.Access.AUTHENTICATED)
    second = await Room.objects.acreate(name="second")
    return await Membership.objects.acreate(room=second, user=alice)


def frame(*bodies):
    return "\n".join(
        json.dumps({"id": number, "subscribe": body})
        for number, body in enumerate(bodies, FIRST_ID)
    )


@pytest.fixture
async def sent(connected):
    """The frames that leave the server."""
    frames = asyncio.Queue()

    async def keep(event):
        frames.put_nowait(event["text"])

    outbox = connected.transport = Outbox(ASGISink(keep), connected.protocol)
    yield frames
    outbox.end()


def answers(session):
    """The replies of a frame, in the order in which they came."""
    return [frame for frame in session.transport.frames if frame.get("id", 0) >= FIRST_ID]


async def test_a_hundred_are_looked_up_and_read_together(
    connected, many_rooms, together, count_queries
):
    together(100)
    with count_queries() as queries:
        await send(connected, frame(*({"channel": name} for name in NAMES)))
    replies = answers(connected)
    assert [reply["id"] for reply in replies] == list(range(FIRST_ID, FIRST_ID + 100))
    assert all("subscribe" in reply for reply in replies)
    assert list(connected.rooms) == NAMES
    assert len(queries) < 10


async def test_the_replies_to_a_hundred_leave_in_few_frames(connected, many_rooms, together, sent):
    together(100)
    await send(connected, frame(*({"channel": name} for name in NAMES)))
    frames, lines = 0, []
    async with asyncio.timeout(60):
        while len(lines) < 100:
            lines += (await sent.get()).split("\n")
            frames += 1
    assert [json.loads(line)["id"] for line in lines] == list(range(FIRST_ID, FIRST_ID + 100))
    assert frames < 10


async def test_a_reply_does_not_wait_for_a_later_one(connected, two_rooms, many_rooms, held, sent):
    async with asyncio.TaskGroup() as group, asyncio.timeout(60):
        bodies = {"channel": "room-1"}, {"channel": "first"}
        group.create_task(send(connected, frame(*bodies)))
        await held.asked.wait()
        assert json.loads(await sent.get())["id"] == FIRST_ID
        held.set()
        assert json.loads(await sent.get())["id"] == FIRST_ID + 1


async def test_large_replies_are_not_copied_into_one(connected, many_rooms, monkeypatch, sent):
    monkeypatch.setattr(replies, "ALONG_BYTES", 0)
    await send(connected, frame({"channel": "room-1"}, {"channel": "room-2"}))
    for id in (FIRST_ID, FIRST_ID + 1):
        assert json.loads(await sent.get())["id"] == id


async def test_the_rooms_of_a_connect_are_read_together(
    open_session, alice, many_rooms, together, count_queries
):
    together(100)
    session = open_session(Identity(alice))
    with count_queries() as queries:
        reply = await call(session, connect={"subs": {name: {} for name in NAMES}})
    assert list(reply["connect"]["subs"]) == NAMES
    assert len(queries) < 10


async def test_few_that_recover_are_read_together(connected, many_rooms, together, monkeypatch):
    """What each of them reads is kept until it is its turn."""
    monkeypatch.setattr(batches, "RECOVERED_TOGETHER_MAX", 25)
    together(25)
    await send(connected, frame(*({"channel": name, "recover": True} for name in NAMES)))
    replies = answers(connected)
    assert [reply["subscribe"]["recovered"] for reply in replies] == [True] * 100


async def test_each_is_refused_for_itself_and_answered_in_order(connected, many_rooms):
    await send(
        connected,
        frame(
            {"channel": "room-1"},
            {"channel": "absent"},
            {"channel": ""},
            {"channel": "room-1"},
            {"channel": "room-2", "tf": {}},
            {"channel": "room-3", "recover": True, "epoch": "other", "flag": 2},
            {"channel": "room-4"},
        ),
    )
    codes = [reply.get("error", {}).get("code", 0) for reply in answers(connected)]
    assert codes == [0, 103, 107, 105, 108, 112, 0]
    assert list(connected.rooms) == ["room-1", "room-4"]


async def test_the_limit_of_rooms_holds_in_their_order(connected, many_rooms, settings):
    settings.REALTIME = {"ROOMS_PER_CONNECTION": 3}
    await send(connected, frame(*({"channel": name} for name in NAMES[:6])))
    codes = [reply.get("error", {}).get("code", 0) for reply in answers(connected)]
    assert codes == [0, 0, 0, 106, 106, 106]
    assert list(connected.rooms) == NAMES[:3]


async def test_too_many_commands_are_refused_in_their_order(connected, many_rooms, settings):
    settings.REALTIME = {"COMMANDS_PER_SECOND": 0.001, "COMMANDS_BURST": 3}
    await send(connected, frame(*({"channel": name} for name in NAMES[:10])))
    codes = [reply.get("error", {}).get("code", 0) for reply in answers(connected)]
    assert codes == [0, 0, 0, 111, 111, 111]
    assert connected.transport.closed[0] == 3013


@pytest.mark.parametrize("since", [{}, {"recover": True}])
async def test_what_is_published_while_a_room_waits_for_its_turn_comes_once(
    connected, open_session, alice, two_rooms, held, since
):
    other = open_session(Identity(alice))
    await call(other, connect={})
    await call(other, publish={"channel": "second", "data": 1})
    sending = asyncio.create_task(
        send(connected, frame({"channel": "first"}, {"channel": "second", **since}))
    )
    await held.asked.wait()
    for number in (2, 3):
        await call(other, publish={"channel": "second", "data": number})
    held.set()
    await sending
    await call(other, publish={"channel": "second", "data": 4})
    await connected.transport.until(
        lambda frame: is_publication(frame) and frame["push"]["pub"]["data"] == 4
    )
    reply = answers(connected)[1]["subscribe"]
    missed = [publication["data"] for publication in reply.get("publications", [])]
    live = [it["push"]["pub"]["data"] for it in connected.transport.frames if is_publication(it)]
    assert missed + live == ([1, 2, 3, 4] if since else [4])
    assert reply["offset"] == (0 if since else 3)


async def test_a_room_that_starts_again_while_it_waits_is_read_again(
    connected, two_rooms, held, node
):
    sending = asyncio.create_task(
        send(connected, frame({"channel": "first"}, {"channel": "second", "recover": True}))
    )
    await held.asked.wait()
    while (feed := node.hub.room("second").feed).position is None:
        await asyncio.sleep(0.001)
    feed.forget()
    held.set()
    await sending
    assert answers(connected)[1]["subscribe"]["recovered"] is True
    assert node.hub.room("second").feed.position is not None


async def test_a_right_that_is_lost_while_a_room_waits_is_lost(connected, two_rooms, held, node):
    sending = asyncio.create_task(
        send(connected, frame({"channel": "first"}, {"channel": "second"}))
    )
    await held.asked.wait()
    while node.hub.room("second").feed.position is None:
        await asyncio.sleep(0.001)
    await two_rooms.adelete()
    held.set()
    await sending
    assert answers(connected)[1]["error"]["code"] == 103
    assert list(connected.rooms) == ["first"]


async def test_a_session_that_ends_meanwhile_enters_nothing(connected, two_rooms, held, node):
    sending = asyncio.create_task(
        send(connected, frame({"channel": "first"}, {"channel": "second"}))
    )
    await held.asked.wait()
    connected.end()
    held.set()
    await sending
    assert answers(connected) == [] and connected.rooms == {}
    await asyncio.gather(*node.hub._leaving)
    assert node.hub.rooms == {}


async def test_one_client_asks_one_rule_of_the_site_at_a_time(connected, monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])
    running, most = 0, 0

    @rooms.register("orders/<int:pk>")
    class OrderRoom(rooms.RoomType):
        async def can_join(self, user, pk):
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.005)
            running -= 1
            return pk % 2 == 0

    await send(connected, frame(*({"channel": f"orders/{pk}"} for pk in range(6))))
    assert [("subscribe" in reply) for reply in answers(connected)] == [True, False] * 3
    assert most == 1

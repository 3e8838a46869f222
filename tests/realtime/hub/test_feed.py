"""Lost publications are read from the stream, in order and once, or reported as lost."""

import asyncio

import pytest

from realtime.authentication import Identity
from realtime.concurrency import background
from realtime.exceptions import LayerUnavailable
from realtime.hub.feed import Feed
from realtime.models import Room
from realtime.rooms.publications import Position, Retention
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)


class LossyNetwork:
    """Between a layer and the hub: loses broadcasts while `loses` is set."""

    def __init__(self, layer, monkeypatch):
        self.loses = False
        self.lost = 0
        on_message = layer.on_message

        def lossy(channel, receive, receive_publication):
            def take(*publication):
                if self.loses:
                    self.lost += 1
                else:
                    receive_publication(*publication)

            on_message(channel, receive, take)

        monkeypatch.setattr(layer, "on_message", lossy)


@pytest.fixture
def hub_layer(either_layer):
    return either_layer


@pytest.fixture
def network(hub_layer, monkeypatch):
    return LossyNetwork(hub_layer, monkeypatch)


@pytest.fixture
async def member(open_session, alice, network):
    session = open_session(Identity(alice))
    await call(session, connect={})
    return session


@pytest.fixture
def say(connected):
    async def _say(*numbers):
        for number in numbers:
            assert "publish" in await call(connected, publish={"channel": "lobby", "data": number})

    return _say


def heard(session):
    return [
        frame["push"]["pub"]["data"]
        for frame in session.transport.frames
        if "pub" in frame.get("push", {})
    ]


async def lose(network, say, *numbers):
    """Say numbers that nobody hears."""
    network.loses, before = True, network.lost
    await say(*numbers)
    async with asyncio.timeout(60):
        while network.lost < before + len(numbers):
            await asyncio.sleep(0.01)
    network.loses = False


async def until_heard(session, *numbers):
    async with asyncio.timeout(60):
        while heard(session) != list(numbers):
            await asyncio.sleep(0.01)


def unsubscribed(frame):
    return "unsubscribe" in frame.get("push", {})


async def test_a_gap_is_filled_before_the_next_message(member, network, say, lobby):
    await call(member, subscribe={"channel": "lobby"})
    await say(1)
    await lose(network, say, 2, 3)
    await say(4)
    await until_heard(member, 1, 2, 3, 4)


async def test_the_position_check_finds_what_no_message_shows(
    member, network, say, lobby, settings
):
    settings.REALTIME = {"POSITION_CHECK_SECONDS": 0.1}
    await call(member, subscribe={"channel": "lobby"})
    await lose(network, say, 1, 2)
    await until_heard(member, 1, 2)


async def test_a_reconnect_is_checked_at_once(member, network, say, lobby, node):
    await call(member, subscribe={"channel": "lobby"})
    await lose(network, say, 1, 2)
    node.hub.check_all()
    await until_heard(member, 1, 2)


async def test_a_gap_that_can_not_be_filled_is_told(member, network, say, node, alice):
    await Room.objects.acreate(name="lobby", access=Room.Access.AUTHENTICATED, history_size=2)
    reply = await call(member, subscribe={"channel": "lobby"})
    await say(1)
    await until_heard(member, 1)
    await lose(network, say, 2, 3, 4)
    await say(5)
    push = await member.transport.until(unsubscribed)
    assert push["push"]["unsubscribe"]["code"] == 2500
    assert heard(member) == [1]
    since = {"recover": True, "epoch": reply["subscribe"]["epoch"], "offset": 1}
    again = (await call(member, subscribe={"channel": "lobby", **since}))["subscribe"]
    assert (again["recovered"], again["offset"]) == (False, 5)
    await say(6)
    await until_heard(member, 1, 6)


async def test_a_room_without_history_is_told_of_every_gap(member, network, say, node):
    await Room.objects.acreate(name="lobby", access=Room.Access.AUTHENTICATED, history_size=0)
    await call(member, subscribe={"channel": "lobby"})
    await lose(network, say, 1)
    await say(2)
    push = await member.transport.until(unsubscribed)
    assert push["push"]["unsubscribe"]["code"] == 2500
    assert heard(member) == []


async def test_a_new_numbering_is_told_also_without_a_message(
    member, network, say, lobby, hub_layer, settings, monkeypatch
):
    settings.REALTIME = {"POSITION_CHECK_SECONDS": 0.1}
    await call(member, subscribe={"channel": "lobby"})
    await say(1)
    await until_heard(member, 1)

    async def flushed(names):
        return {name: Position("other", 0) for name in names}

    monkeypatch.setattr(hub_layer, "positions", flushed)
    push = await member.transport.until(unsubscribed)
    assert push["push"]["unsubscribe"]["code"] == 2500


async def test_repair_goes_on_until_the_layer_answers(
    member, network, say, lobby, hub_layer, monkeypatch
):
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.05)
    await call(member, subscribe={"channel": "lobby"})
    await lose(network, say, 1)
    history, failures = hub_layer.history, iter(range(3))

    async def sometimes(*args, **options):
        if next(failures, None) is not None:
            raise LayerUnavailable("not now")
        return await history(*args, **options)

    monkeypatch.setattr(hub_layer, "history", sometimes)
    await say(2)
    await until_heard(member, 1, 2)
    assert next(failures, None) is None


async def test_duplicate_and_late_publications_are_delivered_once(
    member, say, lobby, node, hub_layer
):
    await call(member, subscribe={"channel": "lobby"})
    await say(1, 2)
    await until_heard(member, 1, 2)
    page = await hub_layer.history("lobby", limit=5)
    feed = node.hub.rooms["lobby"].feed
    for publication in page.publications:
        feed.accept(page.position.epoch, publication)
    await say(3)
    await until_heard(member, 1, 2, 3)


async def test_a_room_that_was_set_back_starts_again_for_everybody(hub_layer):
    """Also for those who are not connected now: the next message must not get a number that one of
    them has seen."""
    lost = []
    feed = Feed("lobby", hub_layer, on_publication=lambda _: None, on_lost=lambda: lost.append(1))
    await feed.open()
    before = await hub_layer.append("lobby", b'{"data":1}', Retention(10, 60))
    seen = Position(before.epoch, before.offset + 1)
    feed.position = seen
    feed.compare(before, seen)
    assert lost == [1]
    async with asyncio.timeout(30):
        while (await hub_layer.history("lobby")).position.epoch == before.epoch:
            await asyncio.sleep(0.01)
    await feed.close()

"""The state of a room in the reply to a subscribe: nothing is lost between it and the messages.

Long, because it mirrors one module.
"""

import asyncio
import json
import time

import pytest

from realtime import rooms
from realtime.authentication import Identity
from realtime.changes import changes
from realtime.connection import late_rooms
from realtime.hub import recent
from realtime.protocols.plain import PlainProtocol
from realtime.protocols.requests import Command
from realtime.rooms import room_types
from realtime.rooms.publications import Retention
from tests.support.sessions import call, is_publication

pytestmark = pytest.mark.django_db(transaction=True)
KEEP = Retention(100, 300)


class Stock:
    """What the room `stock/1` tells. `during` is called while its state is computed."""

    def __init__(self):
        self.count = 0
        self.answer = lambda: {"count": self.count}
        self.during = None
        self.asked = 0


@pytest.fixture
def stock(monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])
    stock = Stock()

    @rooms.register("stock/<int:pk>")
    class StockRoom(rooms.RoomType):
        def can_join(self, user, pk):
            return True

        async def get_state(self, user, pk):
            stock.asked += 1
            state = stock.answer()
            if stock.during is not None:
                await stock.during()
            return state

    @rooms.register("thread/<int:pk>")
    class ThreadRoom(rooms.RoomType):
        def can_join(self, user, pk):
            return True

        def get_state(self, user, pk):
            return {"user": user.username, "pk": pk}

    @rooms.register("plain/<int:pk>")
    class PlainRoom(rooms.RoomType):
        def can_join(self, user, pk):
            return True

    return stock


def body(number):
    return json.dumps({"data": number}).encode()


async def sell(node, number, room="stock/1"):
    """Publish, and wait until this process has it, if somebody is in the room."""
    position = await node.layer.append(room, body(number), KEEP)
    if room in node.hub.rooms:
        async with asyncio.timeout(5):
            while node.hub.rooms[room].feed.position.offset < position.offset:
                await asyncio.sleep(0)


async def test_the_reply_has_the_state_of_the_room(stock, connected):
    reply = await call(connected, subscribe={"channel": "stock/1"})
    assert reply["subscribe"]["data"] == {"count": 0}
    assert "publications" not in reply["subscribe"]


async def test_a_hook_that_is_no_coroutine_runs_in_a_thread(stock, connected):
    reply = await call(connected, subscribe={"channel": "thread/7"})
    assert reply["subscribe"]["data"] == {"user": "alice", "pk": 7}


async def test_without_a_hook_the_reply_has_no_data(stock, connected):
    reply = await call(connected, subscribe={"channel": "plain/7"})
    assert "data" not in reply["subscribe"]


async def test_what_is_published_while_the_state_is_computed_follows_it(stock, connected, node):
    await sell(node, 1)

    async def sell_two_more():
        await sell(node, 2)
        await sell(node, 3)

    stock.during = sell_two_more
    reply = (await call(connected, subscribe={"channel": "stock/1"}))["subscribe"]
    assert reply["offset"] == 1
    assert [pub["data"] for pub in reply["publications"]] == [2, 3]
    await sell(node, 4)
    live = await connected.transport.until(is_publication)
    assert live["push"]["pub"]["data"] == 4


async def test_a_recovery_and_a_state_lose_and_repeat_nothing(stock, connected, node):
    for number in (1, 2, 3):
        await sell(node, number)
    stock.during = lambda: sell(node, 4)
    wanted = {"channel": "stock/1", "recover": True, "offset": 1, "epoch": ""}
    reply = (await call(connected, subscribe=wanted))["subscribe"]
    assert reply["recovered"] is True
    assert reply["offset"] == 1
    assert [pub["data"] for pub in reply["publications"]] == [2, 3, 4]
    assert reply["data"] == {"count": 0}


async def test_after_a_recovery_that_failed_the_state_is_where_the_client_begins(
    stock, connected, node
):
    await sell(node, 1)
    stock.during = lambda: sell(node, 2)
    wanted = {"channel": "stock/1", "recover": True, "offset": 1, "epoch": "another"}
    reply = (await call(connected, subscribe=wanted))["subscribe"]
    assert (reply["recovered"], reply["offset"], reply["data"]) == (False, 1, {"count": 0})
    assert [pub["data"] for pub in reply["publications"]] == [2]


async def test_the_state_is_computed_again_if_too_much_was_published_since(
    stock, connected, node, monkeypatch
):
    monkeypatch.setattr(recent, "KEPT_MAX", 2)

    async def sell_three():
        stock.during = None
        for number in (1, 2, 3):
            await sell(node, number)

    stock.during = sell_three
    reply = (await call(connected, subscribe={"channel": "stock/1"}))["subscribe"]
    assert (stock.asked, reply["offset"]) == (2, 3)
    assert "publications" not in reply


async def test_a_slow_state_delays_no_other_room_of_the_client(stock, connected, node):
    let_go = asyncio.Event()
    stock.during = let_go.wait
    await call(connected, subscribe={"channel": "plain/1"})
    entering = asyncio.ensure_future(call(connected, subscribe={"channel": "stock/1"}))
    while not stock.asked:
        await asyncio.sleep(0)
    await sell(node, 5, "plain/1")
    assert (await connected.transport.until(is_publication))["push"]["channel"] == "plain/1"
    let_go.set()
    assert (await entering)["subscribe"]["data"] == {"count": 0}


def fail():
    raise RuntimeError("broken")


def reject():
    raise rooms.Rejected("The shop is closed.", code=450)


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (fail, 100, "internal server error, reference "),
        (lambda: {1, 2}, 100, "internal server error, reference "),
        (lambda: "x" * 600_000, 100, "internal server error, reference "),
        (reject, 450, "The shop is closed."),
    ],
)
async def test_a_room_without_its_state_is_not_entered(
    stock, connected, node, answer, code, message, caplog
):
    stock.answer = answer
    reply = await call(connected, subscribe={"channel": "stock/1"})
    assert reply["error"]["code"] == code
    assert reply["error"]["message"].startswith(message)
    assert "stock/1" not in connected.rooms
    assert ("StockRoom.get_state failed for the user" in caplog.text) == (code == 100)
    stock.answer = lambda: 1
    assert (await call(connected, subscribe={"channel": "stock/1"}))["subscribe"]["data"] == 1


async def test_a_hook_that_hangs_is_cut_off(stock, connected, settings):
    settings.REALTIME = {**settings.REALTIME, "HOOK_SECONDS": 0.05}
    stock.during = asyncio.Event().wait
    reply = await call(connected, subscribe={"channel": "stock/1"})
    assert reply["error"]["code"] == 100
    assert reply["error"]["temporary"] is True


async def test_a_state_of_more_than_a_message_may_have_is_sent(stock, connected):
    stock.answer = lambda: "x" * 100_000
    reply = await call(connected, subscribe={"channel": "stock/1"})
    assert len(reply["subscribe"]["data"]) == 100_000


async def test_the_rooms_of_a_connect_have_their_states(stock, open_session, alice):
    session = open_session(Identity(alice))
    subs = {"stock/1": {}, "thread/7": {}, "plain/1": {}}
    reply = (await call(session, connect={"subs": subs}))["connect"]["subs"]
    assert reply["stock/1"]["data"] == {"count": 0}
    assert reply["thread/7"]["data"] == {"user": "alice", "pk": 7}
    assert "data" not in reply["plain/1"]


async def test_what_is_published_while_a_connect_waits_for_states_follows_its_reply(
    stock, open_session, alice, node
):
    stock.during = lambda: sell(node, 1)
    session = open_session(Identity(alice))
    reply = (await call(session, connect={"subs": {"stock/1": {}}}))["connect"]["subs"]["stock/1"]
    assert (reply["offset"], reply["data"]) == (0, {"count": 0})
    assert "publications" not in reply
    live = await session.transport.until(is_publication)
    assert live["push"] == {"channel": "stock/1", "pub": {"data": 1, "offset": 1}}
    assert "connect" in session.transport.frames[0]


@pytest.mark.parametrize("answer", [fail, reject, lambda: "x" * 600_000])
async def test_a_broken_state_keeps_nobody_out_of_the_other_rooms_of_a_connect(
    stock, open_session, alice, answer
):
    stock.answer = answer
    session = open_session(Identity(alice))
    subs = {"stock/1": {}, "thread/7": {}, "plain/1": {}}
    reply = (await call(session, connect={"subs": subs}))["connect"]["subs"]
    assert set(reply) == {"thread/7", "plain/1"}


async def test_the_states_of_a_connect_that_fit_in_no_reply_follow_it(
    stock, open_session, alice, monkeypatch
):
    monkeypatch.setattr(late_rooms, "FIRST_PAUSE_SECONDS", 0.01)
    stock.answer = lambda: "x" * 300_000
    session = open_session(Identity(alice))
    reply = (await call(session, connect={"subs": {"stock/1": {}, "stock/2": {}}}))["connect"]
    (first,) = reply["subs"]
    push = await session.transport.until(lambda frame: "subscribe" in frame.get("push", {}))
    assert {first, push["push"]["channel"]} == {"stock/1", "stock/2"}
    assert len(push["push"]["subscribe"]["data"]) == 300_000


async def test_a_room_of_a_connect_whose_state_hangs_is_entered_later(
    stock, open_session, alice, settings, monkeypatch
):
    monkeypatch.setattr(late_rooms, "FIRST_PAUSE_SECONDS", 0.01)
    settings.REALTIME = {**settings.REALTIME, "HOOK_SECONDS": 0.05}
    stock.during = asyncio.Event().wait
    session = open_session(Identity(alice))
    reply = (await call(session, connect={"subs": {"stock/1": {}, "plain/1": {}}}))["connect"]
    assert set(reply["subs"]) == {"plain/1"}
    stock.during = None
    push = await session.transport.until(lambda frame: "subscribe" in frame.get("push", {}))
    assert push["push"]["subscribe"]["data"] == {"count": 0}


async def test_a_plain_client_gets_the_state_when_it_has_joined(stock):
    joined, *missed = PlainProtocol("stock/1").encode_reply(
        Command(0, "subscribe"), {"epoch": "e", "offset": 3, "data": {"count": 5}}
    )
    assert missed == []
    assert json.loads(joined) == {
        "type": "joined",
        "room": "stock/1",
        "epoch": "e",
        "offset": 3,
        "state": {"count": 5},
    }


async def test_a_state_that_was_computed_before_the_right_went_is_not_sent(
    stock, open_session, node, alice
):
    """The grant is looked up again when something has changed in the meantime."""
    session = open_session(Identity(alice))
    await call(session, connect={})
    async with asyncio.timeout(5):
        while changes.version < 0:
            await asyncio.sleep(0)

    async def close_the_shop():
        stock.during = None
        room_types._types[0].room_type.can_join = lambda user, pk: False
        changes.record(None, "stock/1")

    stock.during = close_the_shop
    reply = await call(session, subscribe={"channel": "stock/1"})
    assert reply["error"]["code"] == 103


async def test_a_sync_state_that_blocks_leaves_the_loop_free(stock, connected, monkeypatch):
    type(room_types._types[1].room_type).get_state = lambda self, user, pk: time.sleep(0.2)
    entering = asyncio.ensure_future(call(connected, subscribe={"channel": "thread/7"}))
    steps = 0
    while not entering.done():
        await asyncio.sleep(0.005)
        steps += 1
    assert steps > 5
    assert entering.result()["subscribe"]["data"] is None

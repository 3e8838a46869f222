"""The contract that both room layers keep: one set of tests for Redis and for one process."""

import asyncio
import contextlib
import re
import time
import uuid

import pytest

from realtime.exceptions import LayerUnavailable
from realtime.layers.base import PUBLICATION, RoomLayer
from realtime.layers.groups import group_name
from realtime.layers.memory import MemoryRoomLayer
from realtime.layers.records import Member, PresenceChange
from realtime.layers.redis import RedisRoomLayer
from realtime.rooms.publications import Retention


def redis_layer(url, **options):
    return RedisRoomLayer(hosts=[url], prefix=f"test-{uuid.uuid4().hex[:8]}", **options)


@pytest.fixture(params=["memory", "redis", "redis, encrypted"])
async def layer(request):
    if request.param == "memory":
        yield MemoryRoomLayer()
        return
    url = request.getfixturevalue("redis_server")
    options = {"symmetric_encryption_keys": ["k" * 32]} if "encrypted" in request.param else {}
    layer = redis_layer(url, **options)
    yield layer
    await layer.flush()


@pytest.fixture
def listen(layer):
    """Join a room's group: `receive = await listen("lobby")`."""

    async def _listen(room):
        channel = await layer.new_channel()
        await layer.group_add(group_name(room), channel)

        async def receive():
            return await asyncio.wait_for(layer.receive(channel), 5)

        return receive

    return _listen


async def test_it_is_a_room_layer(layer):
    assert isinstance(layer, RoomLayer)


async def test_publications_are_numbered_from_one_and_broadcast(layer, listen):
    first, second = await listen("lobby"), await listen("lobby")
    for number in (1, 2):
        position = await layer.append("lobby", b'{"data":%d}' % number)
        assert position.offset == number
        for receive in (first, second):
            message = await receive()
            assert message == {
                "type": PUBLICATION,
                "room": "lobby",
                "epoch": position.epoch,
                "offset": number,
                "body": b'{"data":%d}' % number,
            }


async def test_the_sync_form_continues_the_same_numbers(layer, listen):
    receive = await listen("lobby")
    await layer.append("lobby", b"1")
    position = await asyncio.to_thread(layer.append_sync, "lobby", b"2")
    assert position.offset == 2
    assert [(await receive())["body"] for _ in range(2)] == [b"1", b"2"]


async def test_rooms_have_their_own_numbers_and_hear_nothing_of_others(layer, listen):
    receive = await listen("lobby")
    await layer.append("Lobby", b"other")
    await layer.append("lobby", b"mine")
    message = await receive()
    assert (message["offset"], message["body"]) == (1, b"mine")


async def test_the_position_is_that_of_the_last_publication(layer):
    before = (await layer.history("lobby")).position
    assert before.offset == 0
    after = await layer.append("lobby", b"1")
    assert (await layer.history("lobby")).position == after
    assert after.epoch == before.epoch


async def test_who_has_joined_misses_nothing_that_is_published_then(layer, listen):
    for number in range(20):
        receive = await listen(f"room-{number}")
        await layer.append(f"room-{number}", b"x")
        assert (await receive())["offset"] == 1


async def test_who_has_left_hears_nothing_more(layer):
    channel = await layer.new_channel()
    for room in ("left", "kept"):
        await layer.group_add(group_name(room), channel)
    await layer.group_discard(group_name("left"), channel)
    await layer.append("left", b"1")
    await layer.append("kept", b"2")
    assert (await asyncio.wait_for(layer.receive(channel), 5))["room"] == "kept"


async def test_concurrent_publishers_make_one_order_without_gaps(layer, listen):
    first, second = await listen("lobby"), await listen("lobby")
    await asyncio.gather(*(layer.append("lobby", b"%d" % n) for n in range(50)))
    heard = [[await receive() for _ in range(50)] for receive in (first, second)]
    assert [message["offset"] for message in heard[0]] == list(range(1, 51))
    assert heard[0] == heard[1]


KEEP_THREE = Retention(3, 60)


async def offsets(layer, room="lobby", **options):
    return [entry.offset for entry in (await layer.history(room, **options)).publications]


async def test_the_last_publications_are_kept(layer):
    for number in range(1, 6):
        await layer.append("lobby", b"%d" % number, KEEP_THREE)
    page = await layer.history("lobby", limit=10)
    assert page.position.offset == 5
    assert [(entry.offset, entry.body) for entry in page.publications] == [
        (3, b"3"),
        (4, b"4"),
        (5, b"5"),
    ]
    times = [entry.at_ms for entry in page.publications]
    assert times == sorted(times)
    assert abs(times[-1] / 1000 - time.time()) < 5


async def test_history_is_read_in_pages_both_ways(layer):
    for number in range(1, 11):
        await layer.append("lobby", b"%d" % number, Retention(100, 60))
    assert await offsets(layer, limit=3) == [1, 2, 3]
    assert await offsets(layer, limit=3, since=3) == [4, 5, 6]
    assert await offsets(layer, limit=3, reverse=True) == [10, 9, 8]
    assert await offsets(layer, limit=3, reverse=True, since=8) == [7, 6, 5]
    assert await offsets(layer, limit=3, since=10) == []
    assert await offsets(layer, limit=3, since=99) == []
    assert await offsets(layer, limit=3, reverse=True, since=1) == []
    assert await offsets(layer, limit=0) == []


async def test_the_sync_form_reads_the_same(layer):
    await layer.append("lobby", b"1", KEEP_THREE)
    page = await asyncio.to_thread(layer.history_sync, "lobby", limit=5)
    again = await layer.history("lobby", limit=5)
    assert page.position == again.position
    assert [(it.offset, it.body, it.at_ms) for it in page.publications] == [
        (it.offset, it.body, it.at_ms) for it in again.publications
    ]


async def test_a_room_without_history_is_numbered_all_the_same(layer):
    for _ in range(2):
        await layer.append("lobby", b"x", Retention(0, 60))
    assert await layer.history("lobby", limit=5) == (await layer.history("lobby"))
    assert (await layer.history("lobby")).position.offset == 2


async def test_the_numbers_outlive_what_is_kept(layer):
    first = await layer.append("lobby", b"1", Retention(3, 1))
    await asyncio.sleep(1.1)  # its time has to pass
    assert await offsets(layer, limit=5) == []
    second = await layer.append("lobby", b"2", KEEP_THREE)
    assert (second.epoch, second.offset) == (first.epoch, 2)
    assert await offsets(layer, limit=5) == [2]


async def test_many_positions_are_asked_at_once(layer):
    expected = {f"room-{n}": await layer.append(f"room-{n}", b"x") for n in range(5)}
    assert await layer.positions(list(expected)) == expected


async def test_an_idempotency_key_stores_once(layer, listen):
    receive = await listen("lobby")
    first = await layer.append("lobby", b"1", KEEP_THREE, "order-1")
    again = await asyncio.gather(
        *(layer.append("lobby", b"1", KEEP_THREE, "order-1") for _ in range(5)),
        asyncio.to_thread(layer.append_sync, "lobby", b"1", KEEP_THREE, "order-1"),
    )
    assert set(again) == {first}
    assert (await layer.append("lobby", b"2", KEEP_THREE, "order-2")).offset == 2
    assert (await layer.append("other", b"3", KEEP_THREE, "order-1")).offset == 1
    assert [(await receive())["offset"] for _ in range(2)] == [1, 2]


async def test_an_idempotency_key_works_at_once_and_for_its_time(layer, settings):
    settings.REALTIME = {"IDEMPOTENCY_TTL_SECONDS": 1}
    positions = await asyncio.gather(
        *(layer.append("lobby", b"1", KEEP_THREE, "odd \ud800 \x00 key") for _ in range(5))
    )
    assert [position.offset for position in positions] == [1] * 5
    await asyncio.sleep(1.1)  # its time has to pass
    assert (await layer.append("lobby", b"1", KEEP_THREE, "odd \ud800 \x00 key")).offset == 2


def member(client, user):
    return Member(client, user, f"{user}'s info".encode())


async def update(layer, present=(), ended=()):
    """One update of the lobby: (who has come, who has gone)."""
    change = PresenceChange("lobby", [member(*who) for who in present], list(ended))
    [news] = await layer.update_presence([change])
    assert news.room == "lobby"
    return sorted(news.joined), sorted(news.left)


async def test_presence_counts_people_and_not_tabs(layer):
    assert await update(layer, [("tab-1", "alice")]) == ([b"alice's info"], [])
    assert await update(layer, [("tab-2", "alice"), ("tab-3", "bob")]) == ([b"bob's info"], [])
    attendance = await layer.presence("lobby")
    assert (attendance.clients, attendance.users) == (3, 2)
    assert sorted(attendance.infos) == [b"alice's info", b"alice's info", b"bob's info"]
    assert (await layer.presence("lobby", infos=False)) == (3, 2, [])
    assert (await layer.presence("empty")) == (0, 0, [])
    assert await asyncio.to_thread(layer.presence_sync, "lobby", infos=False) == (3, 2, [])


async def test_writing_the_same_down_again_is_no_news(layer):
    await update(layer, [("tab-1", "alice")])
    assert await update(layer, [("tab-1", "alice")]) == ([], [])
    assert (await layer.presence("lobby")).clients == 1


async def test_closing_one_of_two_tabs_is_no_leaving(layer):
    await update(layer, [("tab-1", "alice"), ("tab-2", "alice")])
    assert await update(layer, ended=["tab-1"]) == ([], [])
    attendance = await layer.presence("lobby")
    assert (attendance.clients, attendance.users) == (1, 1)


async def test_who_comes_back_in_time_has_not_left(layer, settings):
    settings.REALTIME = {"PRESENCE_LEAVE_SECONDS": 0.2}
    await update(layer, [("before", "alice")])
    assert await update(layer, ended=["before"]) == ([], [])
    assert (await layer.presence("lobby")).users == 1
    assert await update(layer, [("after", "alice")]) == ([], [])
    assert (await layer.presence("lobby")).clients == 1
    assert await update(layer, ended=["after"]) == ([], [])
    assert await update(layer, [("after", "alice")]) == ([], [])
    await asyncio.sleep(0.25)  # its time has to pass
    assert await update(layer) == ([], [])
    assert (await layer.presence("lobby"))[:2] == (1, 1)


async def test_who_stays_away_has_left_once(layer, settings):
    settings.REALTIME = {"PRESENCE_LEAVE_SECONDS": 0.1}
    await update(layer, [("tab", "alice")])
    await update(layer, ended=["tab", "unknown"])
    await asyncio.sleep(0.15)  # its time has to pass
    assert (await layer.presence("lobby"))[:2] == (0, 0)
    told = await asyncio.gather(*(update(layer) for _ in range(5)))
    assert sorted(told) == [([], [])] * 4 + [([], [b"alice's info"])]


async def test_what_a_killed_process_wrote_ends_with_its_time(layer, settings):
    settings.REALTIME = {"PRESENCE_TTL_SECONDS": 0.1}
    await update(layer, [("killed", "alice")])
    settings.REALTIME = {"PRESENCE_TTL_SECONDS": 60}
    await update(layer, [("alive", "bob")])
    await asyncio.sleep(0.15)  # its time has to pass
    assert await update(layer) == ([], [b"alice's info"])
    assert (await layer.presence("lobby")).infos == [b"bob's info"]


async def test_a_ticket_is_redeemed_once_also_by_two_at_once(layer):
    await asyncio.to_thread(layer.store_ticket, "t", b"identity", 30)
    redeemed = await asyncio.gather(*(layer.redeem_ticket("t") for _ in range(5)))
    assert sorted(redeemed, key=bool) == [None] * 4 + [b"identity"]
    assert await layer.redeem_ticket("unknown") is None
    assert await layer.redeem_ticket("odd \ud800 \x00") is None


async def test_other_channels_consumers_can_use_it(layer):
    channel = await layer.new_channel()
    await layer.group_add("chat", channel)
    await layer.group_send("chat", {"type": "chat.message", "text": "hi"})
    message = await asyncio.wait_for(layer.receive(channel), 5)
    assert message == {"type": "chat.message", "text": "hi"}
    await layer.send(channel, {"type": "chat.direct"})
    assert await asyncio.wait_for(layer.receive(channel), 5) == {"type": "chat.direct"}


async def test_two_sites_on_one_redis_are_apart(redis_server):
    one, other = redis_layer(redis_server), redis_layer(redis_server)
    try:
        channel = await other.new_channel()
        await other.group_add(group_name("lobby"), channel)
        await one.append("lobby", b"1")
        await one.topology.room_pipeline("lobby").send("PING")
        assert (await other.history("lobby")).position.offset == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await other.receive(channel)
    finally:
        await one.flush()
        await other.flush()


async def test_rooms_are_spread_over_shards(redis_server):
    layer = RedisRoomLayer(
        hosts=[f"{redis_server}/0", f"{redis_server}/1"], prefix=f"test-{uuid.uuid4().hex[:8]}"
    )
    try:
        shards = {id(layer.topology.room_pipeline(f"room-{n}")) for n in range(50)}
        assert len(shards) == 2
        for n in range(10):
            await layer.append(f"room-{n}", b"1")
            position = await asyncio.to_thread(layer.append_sync, f"room-{n}", b"2")
            assert position.offset == 2
    finally:
        await layer.flush()


async def test_a_redis_that_is_away_is_told_in_time(unused_port):
    layer = redis_layer(f"redis://127.0.0.1:{unused_port}")
    with contextlib.suppress(Exception):
        async with asyncio.timeout(5):
            with pytest.raises(LayerUnavailable):
                await layer.append("lobby", b"1")
            with pytest.raises(LayerUnavailable):
                await asyncio.to_thread(layer.append_sync, "lobby", b"1")
            with pytest.raises(LayerUnavailable):
                await layer.history("lobby")
            with pytest.raises(LayerUnavailable):
                await asyncio.to_thread(layer.store_ticket, "t", b"x", 1)


# Rights that changed


async def test_changes_are_found_by_whom_and_what_they_concern(layer):
    assert await layer.last_changes([("1", "lobby")]) == [-1]
    await layer.mark_changes([("1", "lobby"), ("2", None)])
    await asyncio.to_thread(layer.mark_changes_sync, [(None, "staff")])
    asked = [("1", "lobby"), ("1", "other"), ("2", "other"), ("3", "staff"), ("3", "lobby")]
    found = await layer.last_changes(asked)
    assert [time_ms > 0 for time_ms in found] == [True, False, True, True, False]
    await layer.mark_changes([(None, None)])
    assert all(time_ms > 0 for time_ms in await layer.last_changes(asked))


async def test_a_change_is_on_the_clock_of_the_publications(layer):
    await layer.append("lobby", b"1", KEEP_THREE)
    await asyncio.sleep(0.005)
    await layer.mark_changes([("1", None)])
    await asyncio.sleep(0.005)
    await layer.append("lobby", b"2", KEEP_THREE)
    before, after = (await layer.history("lobby", limit=10)).publications
    assert before.at_ms < (await layer.last_changes([("1", "lobby")]))[0] < after.at_ms


# Connections


def listed(layer):
    return {alive.info: sorted(alive.connections) for alive in layer.live_processes_sync()}


async def test_connections_are_listed_by_process(layer):
    assert await layer.beat("p1", b"first", 10) is False
    assert await layer.beat("p1", b"first", 10) is True
    await layer.beat("p2", b"second", 10)
    await layer.write_connections("p1", {"a": b"A", "b": b"B"}, {}, 10)
    await layer.write_connections("p1", {"a": b"A again"}, {"b": "1"}, 10)
    await layer.write_connections("p2", {"c": b"C"}, {}, 10)
    assert await asyncio.to_thread(listed, layer) == {b"first": [b"A again"], b"second": [b"C"]}
    await layer.beat("p1", b"", 0)
    assert await asyncio.to_thread(listed, layer) == {b"second": [b"C"]}


async def test_a_user_has_as_many_connections_as_are_allowed(layer):
    assert await layer.admit("p1", [("a", "1"), ("b", "1"), ("c", "2")], 2) == [True] * 3
    assert await layer.admit("p2", [("d", "1")], 2) == [False]
    assert await layer.admit("p1", [("a", "1")], 2) == [True], "it is counted already"
    await layer.write_connections("p1", {}, {"a": "1"}, 10)
    assert await layer.admit("p2", [("d", "1"), ("e", "1")], 2) == [True, False]
    assert await layer.admit("p2", [("e", "1")], 0) == [True], "any number is allowed"


async def test_those_of_a_process_that_died_count_no_more(redis_server, settings):
    settings.REALTIME = {"PROCESS_TTL_SECONDS": 0.2}
    layer = redis_layer(redis_server)
    try:
        await layer.beat("p1", b"first", 0.2)
        assert await layer.admit("p1", [("a", "1"), ("b", "1")], 2) == [True, True]
        await layer.write_connections("p1", {"a": b"A"}, {}, 0.2)
        assert await layer.admit("p2", [("c", "1")], 2) == [False]
        async with asyncio.timeout(3):
            while await asyncio.to_thread(listed, layer):
                await asyncio.sleep(0.02)
            while await layer.admit("p2", [("c", "1")], 2) == [False]:
                await asyncio.sleep(0.02)
        assert await layer.admit("p2", [("d", "1"), ("e", "1")], 2) == [True, False]
    finally:
        await layer.flush()


async def test_what_users_use_up_is_added(layer):
    assert await layer.add_usage({"1": 10, "2": 1}) == {"1": 10, "2": 1}
    assert await layer.add_usage({"1": 5}) == {"1": 15}


async def test_sign_ins_that_ended_are_remembered_for_a_while(layer):
    await asyncio.to_thread(layer.end_sign_in_sync, "s1", 60)
    await asyncio.to_thread(layer.end_sign_in_sync, "s2", 0.05)
    ended = await layer.ended_sign_ins()
    assert 50 < ended["s1"] <= 60
    async with asyncio.timeout(3):
        while "s2" in await layer.ended_sign_ins():
            await asyncio.sleep(0.02)
    assert set(await layer.ended_sign_ins()) == {"s1"}


async def kept(layer, room, *bodies, keep=KEEP_THREE):
    """Append all of them at once, and wait until they are kept."""
    outcomes = []
    for body in bodies:
        layer.append_soon(room, body, keep, outcomes.append)
    async with asyncio.timeout(5):
        while len(outcomes) < len(bodies):
            await asyncio.sleep(0.001)
    assert not any(isinstance(outcome, LayerUnavailable) for outcome in outcomes)


async def test_appends_that_nobody_waits_for_keep_their_order_and_are_kept_like_others(
    layer, listen
):
    receive = await listen("lobby")
    await layer.append("lobby", b"1", KEEP_THREE)
    await kept(layer, "lobby", b"2", b"\r\n$3\r\n\x00\xff", b"4")
    heard = [await receive() for _ in range(4)]
    assert [message["offset"] for message in heard] == [1, 2, 3, 4]
    assert [message["body"] for message in heard] == [b"1", b"2", b"\r\n$3\r\n\x00\xff", b"4"]
    page = await layer.history("lobby", limit=9)
    assert [it.body for it in page.publications] == [message["body"] for message in heard[1:]]
    assert {message["epoch"] for message in heard} == {page.position.epoch}


async def test_appends_survive_that_redis_forgets_its_scripts(redis_server):
    layer = redis_layer(redis_server)
    try:
        await kept(layer, "lobby", b"1")
        await layer.topology.room_pipeline("lobby").send("SCRIPT", "FLUSH")
        await kept(layer, "lobby", b"2", b"3")
        await layer.append("lobby", b"4", KEEP_THREE)
        page = await layer.history("lobby", limit=9)
        assert [(it.offset, it.body) for it in page.publications] == [
            (2, b"2"),
            (3, b"3"),
            (4, b"4"),
        ]
    finally:
        await layer.flush()


async def test_a_room_that_begins_with_such_an_append_has_an_epoch_of_its_own(layer):
    await kept(layer, "one", b"1")
    await kept(layer, "two", b"1", keep=Retention(0, 0))
    one, two = (await layer.positions(["one", "two"])).values()
    assert one.offset == two.offset == 1
    assert re.fullmatch(r"[0-9a-f]{8}", one.epoch)

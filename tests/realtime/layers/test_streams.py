"""The contract of streams: numbers, history and idempotency, on both layers."""

import asyncio
import re
import time

import pytest
import redis

from realtime.exceptions import LayerUnavailable
from realtime.layers.base import Append
from realtime.layers.groups import group_name
from realtime.rooms.publications import Position, Retention

KEEP_THREE = Retention(3, 60)


async def test_the_sync_form_continues_the_same_numbers(layer, listen):
    receive = await listen("lobby")
    await layer.append("lobby", b"1")
    position = await asyncio.to_thread(layer.append_sync, "lobby", b"2")
    assert position.offset == 2
    assert [(await receive())["body"] for _ in range(2)] == [b"1", b"2"]


async def test_the_position_is_that_of_the_last_publication(layer):
    before = (await layer.history("lobby")).position
    assert before.offset == 0
    after = await layer.append("lobby", b"1")
    assert (await layer.history("lobby")).position == after
    assert after.epoch == before.epoch


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
    assert [
        (publication.offset, publication.body, publication.at_ms)
        for publication in page.publications
    ] == [
        (publication.offset, publication.body, publication.at_ms)
        for publication in again.publications
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


async def test_appends_that_nobody_waits_for_keep_their_order_and_are_kept_like_others(
    layer, listen, append_at_once
):
    receive = await listen("lobby")
    await layer.append("lobby", b"1", KEEP_THREE)
    await append_at_once(layer, "lobby", b"2", b"\r\n$3\r\n\x00\xff", b"4")
    heard = [await receive() for _ in range(4)]
    assert [message["offset"] for message in heard] == [1, 2, 3, 4]
    assert [message["body"] for message in heard] == [b"1", b"2", b"\r\n$3\r\n\x00\xff", b"4"]
    page = await layer.history("lobby", limit=9)
    assert [publication.body for publication in page.publications] == [
        message["body"] for message in heard[1:]
    ]
    assert {message["epoch"] for message in heard} == {page.position.epoch}


async def test_a_room_that_begins_with_such_an_append_has_an_epoch_of_its_own(
    layer, append_at_once
):
    await append_at_once(layer, "one", b"1")
    await append_at_once(layer, "two", b"1", keep=Retention(0, 0))
    one, two = (await layer.positions(["one", "two"])).values()
    assert one.offset == two.offset == 1
    assert re.fullmatch(r"[0-9a-f]{8}", one.epoch)


async def test_a_page_is_bounded_in_bytes_but_never_empty(layer, settings):
    settings.REALTIME = {"RECOVERY_MAX_BYTES": 1_000}
    for _ in range(5):
        await layer.append("lobby", b"x" * 900, Retention(10, 60))
    found = []
    while page := (await layer.history("lobby", since=len(found), limit=9)).publications:
        assert len(page) <= 2
        found += [publication.offset for publication in page]
    assert found == [1, 2, 3, 4, 5]


def earlier(layer, seconds, room="lobby"):
    return asyncio.to_thread(layer.earlier_position_sync, room, seconds)


async def test_the_earlier_position_is_the_one_before_what_was_published_since(layer):
    assert (await earlier(layer, 60)).offset == 0
    for number in range(1, 41):
        last = await layer.append("lobby", b"%d" % number, Retention(100, 60))
    assert await earlier(layer, 60) == Position(last.epoch, 0)
    await asyncio.sleep(0.02)
    assert await earlier(layer, 0.01) == last


async def test_the_earlier_position_goes_back_as_far_as_publications_are_kept(layer, settings):
    for number in range(1, 6):
        await layer.append("lobby", b"%d" % number, KEEP_THREE)
    assert (await earlier(layer, 60)).offset == 2
    settings.REALTIME = {"RECOVERY_MAX_MESSAGES": 2}
    assert (await earlier(layer, 60)).offset == 3


async def test_a_room_is_heard_while_somebody_is_in_it(layer):
    channel = await layer.new_channel()
    await layer.group_add(group_name("lobby"), channel)
    rooms = ["lobby", "empty"]
    assert await asyncio.to_thread(layer.heard_sync, rooms) == {"lobby"}
    await layer.group_discard(group_name("lobby"), channel)
    async with asyncio.timeout(5):
        while await asyncio.to_thread(layer.heard_sync, rooms):
            await asyncio.sleep(0.01)


async def test_several_are_appended_in_their_order(layer, listen):
    receive = await listen("lobby")
    outcomes = await asyncio.to_thread(
        layer.append_all_sync,
        [
            Append("lobby", b"1", KEEP_THREE),
            Append("other", b"x" * 1_500_000),
            Append("lobby", b"2", KEEP_THREE, "key"),
            Append("lobby", b"again", KEEP_THREE, "key"),
            Append("lobby", b"3", KEEP_THREE),
        ],
    )
    assert [outcome.offset for outcome in outcomes] == [1, 1, 2, 2, 3]
    assert [(await receive())["body"] for _ in range(3)] == [b"1", b"2", b"3"]
    assert await offsets(layer, limit=10) == [1, 2, 3]


async def test_one_of_several_that_fails_is_reported_in_its_place(open_redis_layer, redis_server):
    layer = open_redis_layer()
    meta = layer.topology.keys.room("broken", "meta")
    with redis.Redis.from_url(redis_server) as client:
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(LayerUnavailable):
                raise (await asyncio.to_thread(layer.append_all_sync, [Append("a", b"1")] * 2))[1]
        finally:
            client.config_set("maxmemory", 0)
        client.set(meta, "no hash")
    appends = [Append("a", b"1"), Append("broken", b"1"), Append("a", b"2")]
    outcomes = await asyncio.to_thread(layer.append_all_sync, appends)
    assert [outcome.offset for outcome in outcomes] == [1, 1, 2]  # the broken one is repaired


async def test_the_age_of_a_message_goes_by_the_clock_of_the_layer(layer):
    position = await layer.append("lobby", b"1", KEEP_THREE)
    await asyncio.sleep(0.3)
    assert 0.25 < await layer.age("lobby", position.offset) < 60
    assert await layer.age("lobby", position.offset + 1) is None
    await layer.append("other", b"1")
    assert await layer.age("other", 1) is None

"""Foreign data in the keys of one room: that room alone suffers, and is repaired."""

import asyncio
import logging

import pytest

from realtime.layers import pages
from realtime.layers.groups import group_name
from realtime.layers.records import Member, PresenceChange
from realtime.layers.redis import channel_layer, repairs
from realtime.rooms.publications import Retention
from realtime.sparse_log import SparseLogs

KEEP_THREE = Retention(3, 60)
BODY = b'{"data":1}'
ALICE, BOB = Member("c1", "1", b'{"user":"1"}'), Member("c2", "2", b'{"user":"2"}')
STREAM_DAMAGE = {
    "no meta": [("DEL", "meta")],
    "no epoch": [("HDEL", "meta", "epoch")],
    "no offset": [("HDEL", "meta", "offset")],
    "foreign offset": [("HSET", "meta", "offset", "many")],
    "half an offset": [("HSET", "meta", "offset", "1.5")],
    "foreign epoch": [("HSET", "meta", "epoch", "a:b\nc")],
    "empty epoch": [("HSET", "meta", "epoch", "")],
    "meta is a string": [("SET", "meta", "x")],
    "stream is a string": [("SET", "stream", "x")],
    "both are lists": [("DEL", "meta", "stream"), ("LPUSH", "meta", "x"), ("LPUSH", "stream", "x")],
    "later entry": [("XADD", "stream", "*", "m", "x")],
    "foreign entry": [("XADD", "stream", "2-99999999999999", "field", "x", "more", "y")],
    "truncated entry": [("DEL", "stream"), ("XADD", "stream", "2-1", "m", "lobby")],
    "entry of another room": [("DEL", "stream"), ("XADD", "stream", "2-1", "m", 'x\n{"data":1}')],
    "truncated body": [("DEL", "stream"), ("XADD", "stream", "2-1", "m", 'lobby\n{"data":{"a')],
    "no stream": [("DEL", "stream")],
}
PRESENCE_DAMAGE = {
    **{f"no {part}": [("DEL", part)] for part in ("connections", "expiry", "people", "ended")},
    **{
        f"{part} is a string": [("SET", part, "x")]
        for part in ("connections", "expiry", "people", "ended")
    },
    "foreign connection": [("HSET", "connections", "c9", "x"), ("ZADD", "expiry", "1", "c9")],
    "foreign info": [("HSET", "connections", "c1", "1\nx")],
    "foreign count": [("HSET", "people", "2", "many")],
}


@pytest.fixture(autouse=True)
def said(monkeypatch, caplog):
    log = SparseLogs(logging.getLogger("realtime.layers.redis"))
    for module in (repairs, pages, channel_layer):
        monkeypatch.setattr(module, "_log", log)
    yield lambda: [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert not any(record.exc_info for record in caplog.records)


@pytest.fixture(params=["redis", "redis, encrypted"])
def layer(request, open_redis_layer):
    encrypted = {"symmetric_encryption_keys": ["k" * 32]}
    return open_redis_layer(**encrypted if "encrypted" in request.param else {})


async def damage(layer, room, commands):
    """Run commands on the parts of a room."""
    pipeline, keys = layer.topology.room_pipeline(room), layer.topology.keys
    parts = {"meta", "stream", "connections", "expiry", "people", "ended"}
    for name, *args in commands:
        await pipeline.send(name, *(keys.room(room, arg) if arg in parts else arg for arg in args))


@pytest.mark.parametrize("kind", STREAM_DAMAGE)
@pytest.mark.parametrize("first", ["append", "history", "positions", "history_sync"])
async def test_a_damaged_stream_starts_again_and_stops_no_other(kind, first, layer, said):
    for room in ("lobby", "other"):
        for _ in range(2):
            await layer.append(room, BODY, KEEP_THREE)
    before = (await layer.positions(["lobby", "other"]))["lobby"]
    await damage(layer, "lobby", STREAM_DAMAGE[kind])
    if first == "append":
        await layer.append("lobby", BODY, KEEP_THREE)
    elif first == "history":
        await pages.read_page(layer, "lobby", since=0, limit=10)
    elif first == "positions":
        assert (await layer.positions(["lobby", "other"]))["other"].offset == 2
    else:
        await asyncio.to_thread(pages.read_page_sync, layer, "lobby", since=0, limit=10)
    page = await pages.read_page(layer, "lobby", since=0, limit=10)
    assert page.position.epoch != before.epoch or kind in ("no stream", "no offset")
    after = await layer.append("lobby", BODY, KEEP_THREE)
    page = await pages.read_page(layer, "lobby", since=after.offset - 1, limit=10)
    assert [(each.offset, each.body) for each in page.publications] == [(after.offset, BODY)]
    assert page.position == after
    if kind not in ("no meta", "no epoch", "no offset", "no stream"):
        assert any("'lobby'" in line for line in said())
    assert not any("'other'" in line for line in said())
    assert (await layer.history("other", since=0, limit=9)).position.offset == 2


@pytest.mark.parametrize("kind", PRESENCE_DAMAGE)
@pytest.mark.parametrize("first", ["write", "read", "read_sync"])
async def test_damaged_presence_is_rebuilt_and_stops_no_other(kind, first, layer, said):
    channel = await layer.new_channel()
    await layer.group_add(group_name("lobby"), channel)
    change = PresenceChange("lobby", [ALICE, BOB])
    await layer.update_presence([change, PresenceChange("other", [ALICE])])
    await damage(layer, "lobby", PRESENCE_DAMAGE[kind])
    if first == "read":
        await layer.presence("lobby")
    elif first == "read_sync":
        await asyncio.to_thread(layer.presence_sync, "lobby")
    news = await layer.update_presence(
        [PresenceChange("lobby", [ALICE], ["c2"]), PresenceChange("other", [BOB])]
    )
    assert {each.room for each in news} >= {"other"}
    # What the processes do when they are asked.
    for _ in range(2):
        await layer.update_presence([PresenceChange("lobby", [ALICE, BOB])])
        await layer.presence("lobby")
    attendance = await layer.presence("lobby")
    assert (attendance.clients, attendance.users) == (2, 2)
    assert sorted(attendance.infos) == [ALICE.info, BOB.info]
    assert (await layer.presence("other")).clients == 2
    if kind != "no ended":
        message = await asyncio.wait_for(layer.receive(channel), 60)
        assert message == {"type": "realtime.presence_lost", "room": "lobby"}
        assert any("'lobby'" in line for line in said())


async def test_foreign_bytes_are_left_out(layer, said):
    channels = [await layer.new_channel() for _ in range(2)]
    heard = []
    layer.on_message(channels[0], heard.append, lambda *it: heard.append(it))
    for channel in channels:
        await layer.group_add(group_name("lobby"), channel)
    keys = layer.topology.keys
    name = keys.pubsub(keys.room_group("lobby"))
    foreign = [
        b"",
        b"\x00",
        b"\xc1",
        b"\xc1abc",
        b"\xc1" + b"9" * 5000 + b":e\nx",
        b"\xffabc",
        b"{}",
    ]
    foreign += [b"\xc15:\xff\nlobby\n{}", b"\x81\xa1a\x01", b"\x93\x01\x02\x03"]
    for message in foreign:
        await layer.topology.room_pipeline("lobby").send("PUBLISH", name, message)
    await layer.group_send(group_name("lobby"), {"type": "end"})
    async with asyncio.timeout(60):
        while {"type": "end"} not in heard:
            await asyncio.sleep(0.01)
    unreadable = {"type": "realtime.unreadable", "group": keys.room_group("lobby")}
    assert [each for each in heard if each == unreadable] == [unreadable] * len(foreign)


async def test_keys_of_all_connections_are_repaired(layer):
    keys, pipeline = layer.topology.keys, layer.topology.room_pipeline("lobby")
    for name in (keys.processes(), keys.user("1", "connections"), keys.ended_sign_ins()):
        await pipeline.send("SET", name, "x")
    assert await layer.admit("p1", [("c1", "1")], 5) == [True]
    await pipeline.send("SET", keys.processes(), "x")
    assert await layer.beat("p1", b"{}", 10) is False
    assert await layer.beat("p1", b"{}", 10) is True
    await pipeline.send("SET", keys.process("p1", "connections"), "x")
    await layer.write_connections("p1", {"c1": b"{}"}, {}, 10)
    await pipeline.send("SET", keys.user("1", "commands"), "x")
    assert await layer.add_usage({"1": 3, "2": 4}) == {"2": 4}
    assert await layer.add_usage({"1": 3, "2": 4}) == {"1": 3, "2": 8}
    await pipeline.send("SET", keys.change("1", None), "x")
    assert await layer.last_changes([("1", "lobby"), ("2", "lobby")]) == [float("inf"), -1]
    assert await layer.ended_sign_ins() == {}
    await asyncio.to_thread(layer.end_sign_in_sync, "s1", 60)
    assert list(await layer.ended_sign_ins()) == ["s1"]

"""The cost of clients: slow readers are cut, and clients that end leave nothing behind."""

import asyncio
import json
import time
from pathlib import Path

import redis

from tests.support.lengths import CHUNKS_TO_A_SLOW_READER, COMERS_AND_GOERS, LONG

CHUNK = "x" * 61_440
MIB = 1024 * 1024
RSS_MAX_BYTES = (48 if LONG else 40) * MIB
"""Memory that twice as much to a slow reader may add, or less: garbage, buffers, the history."""


def rss(site):
    pages = int(Path(f"/proc/{site.process.popen.pid}/statm").read_text().split()[1])
    return pages * 4096


def descriptors(site):
    return len(list(Path(f"/proc/{site.process.popen.pid}/fd").iterdir()))


def keys(site):
    with redis.Redis.from_url(site.env["REDIS_URL"], decode_responses=True) as shared:
        return set(shared.scan_iter(f"{site.env['REDIS_PREFIX']}*"))


def connection_keys(site):
    """Keys of connections: of rooms that somebody is in, of users, and of processes."""
    return {key for key in keys(site) if key.endswith(":connections")}


async def publish(client, count):
    """Publish chunks one after the other; returns the seconds that each took."""
    seconds = []
    for _ in range(count):
        begun = time.monotonic()
        assert "publish" in await client.call(publish={"channel": "lobby", "data": CHUNK})
        seconds.append(time.monotonic() - begun)
    return seconds


async def stopped_reader(open_client, sign):
    """A member of the lobby that reads nothing any more: its receive buffer holds two frames."""
    slow = await open_client(sign("alice"), max_queue=1, ping_interval=None)
    assert "subscribe" in await slow.call(subscribe={"channel": "lobby"})
    return slow


async def test_a_reader_that_stops_is_cut(open_client, sign):
    publisher = await open_client(sign("bob"))
    slow = await stopped_reader(open_client, sign)
    await publish(publisher, 100)
    assert await slow.closed() == 3008


async def plain_member(open_client, sign, **options):
    """A member of the lobby over the plain protocol, who has joined."""
    headers = {"Authorization": f"Bearer {sign('alice')}"}
    member = await open_client(
        path="rooms/lobby/", connect=False, additional_headers=headers, **options
    )
    assert json.loads(await member.connection.recv())["type"] == "joined"
    return member


async def test_a_plain_reader_that_stops_costs_little(site, open_client, sign):
    publisher = await open_client(sign("bob"))
    await plain_member(open_client, sign, max_queue=1)
    before = rss(site)
    await publish(publisher, 400)
    assert rss(site) - before < 20 * MIB  # of 23


async def test_a_plain_reader_who_reads_gets_everything(open_client, sign):
    publisher = await open_client(sign("bob"))
    reader = await plain_member(open_client, sign)

    async def read():
        return [json.loads(await reader.connection.recv())["offset"] for _ in range(300)]

    reading = asyncio.create_task(read())
    await publish(publisher, 300)
    offsets = await asyncio.wait_for(reading, 60)
    assert offsets == list(range(offsets[0], offsets[0] + 300))


async def test_many_mebibytes_for_one_who_does_not_read(site, open_client, sign):
    publisher = await open_client(sign("bob"))
    reader = await open_client(sign("carol"), max_size=None)
    await reader.call(subscribe={"channel": "lobby"})
    received = []

    async def read():
        async for text in reader.connection:
            for line in text.split("\n"):
                if line == "{}":
                    await reader.connection.send("{}")
                else:
                    received.append(line[:40])

    expected = 100 + CHUNKS_TO_A_SLOW_READER
    reading = asyncio.create_task(read())
    alone = sorted(await publish(publisher, 100))
    before = rss(site)
    slow = await stopped_reader(open_client, sign)
    beside = sorted(await publish(publisher, CHUNKS_TO_A_SLOW_READER))
    assert rss(site) - before < RSS_MAX_BYTES
    assert beside[len(beside) // 2] < 3 * alone[50] + 0.01
    async with asyncio.timeout(60):
        while len(received) < expected:
            await asyncio.sleep(0.05)
    reading.cancel()
    assert len(received) == expected
    assert await slow.closed() in (3008, 1006)  # Daphne cuts who does not answer a close


async def test_clients_that_come_and_go_leave_nothing_behind(site, open_client, sign):
    token = sign("alice")

    async def come_and_go(times):
        for _ in range(times):
            client = await open_client(token)
            for _ in range(3):
                assert "subscribe" in await client.call(subscribe={"channel": "lobby"})
                assert "unsubscribe" in await client.call(unsubscribe={"channel": "lobby"})
            await client.call(subscribe={"channel": "lobby"})
            await client.connection.close()

    async def settled(measure, expected, seconds=40):
        deadline = time.monotonic() + seconds
        while (found := measure(site)) != expected and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        return found

    await come_and_go(40)
    assert await settled(connection_keys, set()) == set()  # until all know that she has left
    before = {"fd": descriptors(site), "keys": keys(site), "rss": rss(site)}
    await come_and_go(COMERS_AND_GOERS)
    assert await settled(keys, before["keys"]) == before["keys"]
    assert await settled(descriptors, before["fd"]) <= before["fd"] + 2
    assert rss(site) - before["rss"] < 12 * MIB

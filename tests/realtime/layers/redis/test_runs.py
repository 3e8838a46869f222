"""Redis comes back with less than it had: an offset is never given twice in an epoch."""

import asyncio
import logging

import pytest
import redis

from realtime.layers.base import Append
from realtime.layers.redis import pipeline
from realtime.rooms.publications import Retention
from realtime.sparse_log import SparseLogs
from tests.support import processes

KEEP = Retention(100, 600)
BODY = b'{"data":1}'


class RestartableRedis:
    """A Redis of one test, with its data in a folder."""

    def __init__(self, folder, *options, durable=False):
        self.folder, self.options, self.durable = folder, options, durable
        self.port = processes.free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        self.process = processes.start_redis(
            self.folder, self.port, *self.options, durable=self.durable
        )

    def crash(self):
        self.process.kill()

    def command(self, *words):
        with redis.Redis(port=self.port) as client:
            return client.execute_command(*words)


@pytest.fixture
def start_redis(tmp_path):
    started = []

    def _start(*options, **more):
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(RestartableRedis(folder, *options, **more))
        return started[-1]

    yield _start
    for each in started:
        each.process.stop()


async def say(layer, count):
    for _ in range(count):
        position = await layer.append("lobby", BODY, KEEP)
    return position


async def come_back(layer):
    """Use the layer until it has noticed that Redis is there again."""
    async with asyncio.timeout(30):
        while True:
            try:
                return (await layer.history("lobby", limit=100)).position
            except Exception:
                await asyncio.sleep(0.05)


SPEAKERS = {
    "a coroutine": lambda layer: layer.append("lobby", BODY, KEEP),
    "a coroutine that does not wait": lambda layer: _soon(layer),
    "a thread": lambda layer: asyncio.to_thread(layer.append_sync, "lobby", BODY, KEEP),
    "a transaction": lambda layer: asyncio.to_thread(
        layer.append_all_sync, [Append("lobby", BODY, KEEP)] * 2
    ),
}


async def _soon(layer):
    kept = asyncio.get_running_loop().create_future()
    layer.append_soon("lobby", BODY, KEEP, kept.set_result)
    await kept


@pytest.mark.parametrize("speaker", SPEAKERS)
async def test_a_snapshot_that_is_older_than_the_last_messages(
    start_redis, open_redis_layer, speaker
):
    broken = start_redis()
    layer = open_redis_layer(hosts=[broken.url])
    await say(layer, 10)
    broken.command("SAVE")
    seen = await say(layer, 5)
    assert seen.offset == 15
    broken.crash()
    broken.start()
    # Whoever comes first: nothing of another process has noticed the restart.
    fresh = open_redis_layer(hosts=[broken.url], prefix=layer.prefix)
    for _ in range(12):
        await SPEAKERS[speaker](fresh)
    page = await fresh.history("lobby", since=seen.offset, limit=100)
    assert page.position.epoch != seen.epoch
    assert (await come_back(layer)).epoch == page.position.epoch


async def test_a_restart_with_all_commands_goes_on(start_redis, open_redis_layer):
    broken = start_redis(durable=True)
    layer = open_redis_layer(hosts=[broken.url])
    seen = await say(layer, 3)
    broken.crash()
    broken.start()
    assert await come_back(layer) == seen
    assert (await say(layer, 1)).offset == 4


async def test_after_a_flush_the_next_process_changes_nothing(start_redis, open_redis_layer):
    broken = start_redis()
    layer = open_redis_layer(hosts=[broken.url])
    before = await say(layer, 3)
    broken.command("FLUSHALL")
    after = await say(layer, 1)
    assert after.epoch != before.epoch
    fresh = open_redis_layer(hosts=[broken.url], prefix=layer.prefix)
    assert await come_back(fresh) == after


@pytest.mark.parametrize("other", ["another prefix", "another database"])
async def test_a_neighbour_that_is_back_first_hides_nothing(start_redis, open_redis_layer, other):
    broken = start_redis()
    layer = open_redis_layer(hosts=[broken.url])
    await say(layer, 2)
    broken.command("SAVE")
    seen = await say(layer, 2)
    broken.crash()
    broken.start()
    neighbour = (
        open_redis_layer(hosts=[broken.url])
        if other == "another prefix"
        else open_redis_layer(hosts=[f"{broken.url}/3"], prefix=layer.prefix)
    )
    await say(neighbour, 1)
    fresh = open_redis_layer(hosts=[broken.url], prefix=layer.prefix)
    assert (await asyncio.to_thread(fresh.append_sync, "lobby", BODY, KEEP)).epoch != seen.epoch


async def test_a_replica_that_becomes_the_master(start_redis, open_redis_layer):
    master = start_redis(durable=True)
    replica = start_redis("--replicaof", "127.0.0.1", str(master.port), durable=True)
    layer = open_redis_layer(hosts=[master.url])
    seen = await say(layer, 3)
    async with asyncio.timeout(30):
        while not replica.command("EXISTS", f"{layer.prefix}:room:lobby:meta"):
            await asyncio.sleep(0.05)
    master.crash()
    replica.command("REPLICAOF", "NO", "ONE")
    fresh = open_redis_layer(hosts=[replica.url], prefix=layer.prefix)
    assert (await say(fresh, 1)).epoch != seen.epoch


async def test_a_user_who_may_not_ask_is_told_once(
    start_redis, open_redis_layer, caplog, monkeypatch
):
    monkeypatch.setattr(pipeline, "_nameless", SparseLogs(logging.getLogger("realtime.layers")))
    broken = start_redis()
    broken.command("ACL", "SETUSER", "site", "on", ">word", "~*", "&*", "+@all", "-info")
    url = broken.url.replace("//", "//site:word@")
    layer = open_redis_layer(hosts=[url])
    first = await say(layer, 1)
    second = await say(open_redis_layer(hosts=[url], prefix=layer.prefix), 1)
    assert (first.epoch, 2) == (second.epoch, second.offset)
    (line,) = [record.getMessage() for record in caplog.records if "+info" in record.getMessage()]
    assert "does not tell when it was restarted" in line


async def test_damaged_notes_are_written_again(start_redis, open_redis_layer):
    broken = start_redis()
    layer = open_redis_layer(hosts=[broken.url])
    await say(layer, 1)
    broken.command("SET", f"{layer.prefix}:runs", "x")
    position = await say(layer, 1)
    assert await come_back(layer) == position
    assert broken.command("TYPE", f"{layer.prefix}:runs") == b"hash"


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_master_that_was_a_replica_in_between_gives_no_number_twice(
    start_redis, open_redis_layer, in_thread
):
    """It is the same process all the time, and knows the scripts of before."""
    first, second = start_redis(), start_redis()
    second.command("REPLICAOF", "127.0.0.1", first.port)
    await until_linked(second)
    layer = open_redis_layer(hosts=[first.url])
    await say(layer, 10)
    second.command("REPLICAOF", "NO", "ONE")
    seen = await say(layer, 5)
    first.command("REPLICAOF", "127.0.0.1", second.port)
    await until_linked(first)
    first.command("REPLICAOF", "NO", "ONE")
    fresh = open_redis_layer(hosts=[first.url], prefix=layer.prefix)
    for _ in range(3):
        if in_thread:
            position = await asyncio.to_thread(fresh.append_sync, "lobby", BODY, KEEP)
        else:
            position = await fresh.append("lobby", BODY, KEEP)
    assert position.epoch != seen.epoch or position.offset > seen.offset


async def until_linked(replica):
    async with asyncio.timeout(60):
        while replica.command("INFO", "replication").get("master_link_status") != "up":
            await asyncio.sleep(0.05)

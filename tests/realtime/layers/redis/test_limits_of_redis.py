"""Redis is short of memory, paused, or loses what it knew: never is a wrong number given."""

import asyncio

import pytest
import redis

from realtime.exceptions import LayerUnavailable
from realtime.layers.groups import group_name
from realtime.rooms.publications import Retention
from tests.support import processes

KEEP = Retention(100, 600)
NOTHING = Retention(0, 0)


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory):
    port = processes.free_port()
    server = processes.start_redis(tmp_path_factory.mktemp("limits"), port)
    yield port
    server.stop()


@pytest.fixture
def admin(own_redis):
    names = ("maxmemory", "maxmemory-policy", "client-output-buffer-limit")
    with redis.Redis(port=own_redis) as client:
        before = {name: client.config_get(name)[name] for name in names}
        yield client
        for name, value in before.items():
            client.config_set(name, value)
        client.client_unpause()


@pytest.fixture
def layer(own_redis, open_redis_layer):
    return open_redis_layer(hosts=[f"redis://127.0.0.1:{own_redis}"])


async def listen(layer):
    """Return what is heard in the lobby, as (epoch, offset), and whether Redis was back."""
    heard, back = [], asyncio.Event()
    channel = await layer.new_channel()
    layer.on_message(
        channel,
        lambda message: None,
        lambda room, epoch, publication: heard.append((epoch, publication.offset)),
    )
    layer.on_reconnect(back.set)
    await layer.group_add(group_name("lobby"), channel)
    return heard, back


async def until(holds):
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


async def test_an_evicted_numbering_starts_a_new_epoch(layer, admin):
    """Redis drops keys one by one: the stream may be left without its numbers."""
    before = [await layer.append("lobby", b"1", KEEP) for _ in range(3)][-1]
    await layer.append("other", b"1", KEEP)
    admin.delete(layer.topology.keys.room("lobby", "meta"))
    page = await layer.history("lobby", since=1, limit=10)
    assert page.position.epoch != before.epoch
    assert page.publications == [], "those that are left are of another epoch"
    after = await layer.append("lobby", b"2", KEEP)
    assert (after.epoch, after.offset) == (page.position.epoch, 1)


async def test_an_evicted_stream_is_a_gap_that_is_seen(layer, admin):
    before = [await layer.append("lobby", b"1", KEEP) for _ in range(3)][-1]
    admin.delete(layer.topology.keys.room("lobby", "stream"))
    after = await layer.append("lobby", b"2", KEEP)
    assert (after.epoch, after.offset) == (before.epoch, 4), "no number twice"
    page = await layer.history("lobby", since=1, limit=10)
    assert [each.offset for each in page.publications] == [4], "2 and 3 are missing, and it shows"


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_under_eviction_no_number_comes_twice(layer, admin, policy):
    admin.config_set("maxmemory-policy", policy)
    admin.config_set("maxmemory", str(admin.info("memory")["used_memory"] + 3_000_000))
    given, evicted = set(), admin.info("stats")["evicted_keys"]
    for number in range(3_000):
        room = f"room-{number % 40}"
        position = await layer.append(room, b"x" * 4_000, KEEP)
        place = (room, position.epoch, position.offset)
        assert place not in given
        given.add(place)
    assert admin.info("stats")["evicted_keys"] > evicted, "nothing was put to the test"


async def test_a_subscription_that_redis_cuts_is_back(layer, admin):
    """The buffer of a subscriber is full: Redis ends its connection, without a word."""
    heard, back = await listen(layer)
    await layer.append("lobby", b"1", KEEP)
    await until(lambda: len(heard) == 1)
    admin.config_set("client-output-buffer-limit", "pubsub 20000 0 0")
    last = await asyncio.to_thread(layer.append_sync, "lobby", b"x" * 60_000, KEEP)
    await asyncio.wait_for(back.wait(), 60)
    page = await layer.history("lobby", since=heard[-1][1], limit=10)
    missed = [each.offset for each in page.publications]
    assert heard[-1][1] == last.offset or missed[-1] == last.offset, "heard, or to be recovered"
    admin.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")
    next_one = await layer.append("lobby", b"2", KEEP)
    await until(lambda: heard[-1] == (next_one.epoch, next_one.offset))


async def test_a_paused_redis_is_waited_for(layer, admin):
    """A short pause delays; a longer one is an error, and heals."""
    heard, _ = await listen(layer)
    first = await layer.append("lobby", b"1", KEEP)
    admin.client_pause(300, all=False)
    assert (await layer.append("lobby", b"2", KEEP)).offset == first.offset + 1
    admin.client_pause(60_000, all=False)
    with pytest.raises(LayerUnavailable):
        await layer.append("lobby", b"3", KEEP)
    with pytest.raises(LayerUnavailable):
        await asyncio.to_thread(layer.append_sync, "lobby", b"4", KEEP)
    admin.client_unpause()
    async with asyncio.timeout(60):
        while True:
            try:
                last = await layer.append("lobby", b"5", KEEP)
                break
            except LayerUnavailable:
                await asyncio.sleep(0.05)
    # The two that failed may have been done: then they have numbers of their own.
    await until(lambda: heard and heard[-1][1] == last.offset)
    offsets = [offset for _, offset in heard]
    assert offsets == list(range(1, last.offset + 1))


async def test_scripts_that_redis_forgets_are_sent_again(layer, admin):
    numbers = []
    for _ in range(5):
        numbers.append((await layer.append("lobby", b"1", KEEP)).offset)
        admin.script_flush()
        numbers.append((await asyncio.to_thread(layer.append_sync, "lobby", b"1", KEEP)).offset)
        admin.script_flush()
    assert numbers == list(range(1, 11))


async def test_without_memory_what_keeps_nothing_is_refused_too(layer, admin):
    """A number that can't be kept could be given twice."""
    await layer.append("lobby", b"1", NOTHING)
    admin.config_set("maxmemory", "1")
    with pytest.raises(LayerUnavailable, match=r"OOM .* raise its maxmemory"):
        await layer.append("lobby", b"2", NOTHING)
    admin.config_set("maxmemory", "0")
    assert (await layer.append("lobby", b"3", NOTHING)).offset == 2

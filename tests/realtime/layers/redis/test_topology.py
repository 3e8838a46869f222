"""The shards of a site: which Redis holds what, and sites that share a Redis."""

import asyncio
import logging

import pytest
from channels_redis.utils import _consistent_hash

from realtime.layers.groups import group_name
from realtime.layers.redis import connections
from realtime.layers.redis.topology import Topology
from realtime.sparse_log import SparseLogs
from tests.support import processes


@pytest.fixture(scope="module")
def two_servers(redis_server, tmp_path_factory):
    port = processes.free_port()
    other = processes.start_redis(tmp_path_factory.mktemp("other-redis"), port)
    yield [redis_server, f"redis://127.0.0.1:{port}"]
    other.stop()


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_names_lie_where_channels_redis_would_put_them(count):
    topology = Topology([{}] * count, "asgi", lambda: pytest.fail("connects"))
    names = [f"asgi__group__ünï-{number}" for number in range(200)]
    found = [topology.index(name) for name in names]
    assert found == [_consistent_hash(name, count) for name in names]
    assert set(found) == set(range(count))


async def test_two_sites_on_one_redis_are_apart(open_redis_layer):
    one, other = open_redis_layer(), open_redis_layer()
    channel = await other.new_channel()
    await other.group_add(group_name("lobby"), channel)
    await one.append("lobby", b"1")
    await one.topology.room_pipeline("lobby").send("PING")
    assert (await other.history("lobby")).position.offset == 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await other.receive(channel)


@pytest.mark.parametrize(("one", "other"), [("{}/0", "{}/1"), ("{}/1", "{}/2"), ("{}?db=3", "{}")])
async def test_two_sites_with_one_prefix_in_two_databases_are_apart(
    one, other, open_redis_layer, redis_server
):
    """Pub/sub knows no database: without its number one site hears the messages of the other."""
    sites = [
        open_redis_layer(hosts=[url.format(redis_server)], prefix="shared") for url in (one, other)
    ]
    heard = []
    for site in sites:
        channel = await site.new_channel()
        site.on_message(channel, heard.append, lambda *it: heard.append(it))
        await site.group_add(group_name("lobby"), channel)
    first, second = sites
    await first.append("lobby", b"1")
    await asyncio.to_thread(first.append_sync, "lobby", b"2")
    await first.group_send(group_name("lobby"), {"type": "t", "n": 1})
    await asyncio.to_thread(first.group_send_sync, group_name("lobby"), {"type": "t", "n": 2})
    await second.append("lobby", b"end")
    async with asyncio.timeout(60):
        while len(heard) < 5:
            await asyncio.sleep(0.01)
    bodies = sorted(each[2].body for each in heard if isinstance(each, tuple))
    assert bodies == [b"1", b"2", b"end"]
    for site in sites:
        await site.topology.room_pipeline("lobby").send("FLUSHDB")


def test_database_zero_has_the_names_of_channels_redis(open_redis_layer, redis_server):
    keys = open_redis_layer(hosts=[redis_server], prefix="site").topology.keys
    assert keys.publications("lobby")[3] == keys.pubsub(keys.room_group("lobby"))
    assert keys.pubsub(keys.room_group("lobby")) == "site__group__" + group_name("lobby")


async def test_a_consumer_of_the_site_works_in_another_database(open_redis_layer, redis_server):
    layer = open_redis_layer(hosts=[f"{redis_server}/1"])
    channel = await layer.new_channel()
    await layer.group_add("chat", channel)
    await layer.group_send("chat", {"type": "chat.message"})
    await layer.send(channel, {"type": "chat.direct"})
    async with asyncio.timeout(60):
        assert await layer.receive(channel) == {"type": "chat.message"}
        assert await layer.receive(channel) == {"type": "chat.direct"}
    await layer.group_discard("chat", channel)
    await layer.group_send("chat", {"type": "chat.message"})
    await layer.send(channel, {"type": "chat.last"})
    assert await asyncio.wait_for(layer.receive(channel), 5) == {"type": "chat.last"}


async def test_rooms_are_spread_over_shards(open_redis_layer, redis_server):
    layer = open_redis_layer(hosts=[f"{redis_server}/0", f"{redis_server}/1"])
    shards = {id(layer.topology.room_pipeline(f"room-{n}")) for n in range(50)}
    assert len(shards) == 2
    for n in range(10):
        await layer.append(f"room-{n}", b"1")
        position = await asyncio.to_thread(layer.append_sync, f"room-{n}", b"2")
        assert position.offset == 2


async def test_members_hear_their_rooms_on_every_shard(open_redis_layer, two_servers):
    layer = open_redis_layer(hosts=two_servers)
    channel = await layer.new_channel()
    rooms = [f"room-{n}" for n in range(10)]
    for room in rooms:
        await layer.group_add(group_name(room), channel)
        await layer.append(room, b"1")
        await asyncio.to_thread(layer.group_send_sync, group_name(room), {"type": "t", "n": room})
    async with asyncio.timeout(60):
        heard = [await layer.receive(channel) for _ in range(20)]
    assert sorted(message["room"] for message in heard if "room" in message) == rooms
    assert sorted(message["n"] for message in heard if "n" in message) == rooms


async def test_every_shard_knows_what_all_rooms_need(open_redis_layer, two_servers):
    layer = open_redis_layer(hosts=two_servers)
    rooms = [f"room-{n}" for n in range(10)]
    await layer.mark_changes([("1", None)])
    assert all(at > 0 for at in await layer.last_changes([("1", room) for room in rooms]))
    await asyncio.to_thread(layer.mark_changes_sync, [("2", None)])
    assert all(at > 0 for at in await layer.last_changes([("2", room) for room in rooms]))


async def test_threads_and_coroutines_find_the_same_on_several_shards(
    open_redis_layer, two_servers
):
    layer = open_redis_layer(hosts=two_servers)
    for n in range(10):
        await asyncio.to_thread(layer.store_ticket, f"t{n}", b"identity", 30)
        assert await layer.redeem_ticket(f"t{n}") == b"identity"
        await layer.beat(f"p{n}", b"%d" % n, 10)
        await layer.write_connections(f"p{n}", {"client": b"c"}, {}, 10)
        await asyncio.to_thread(layer.end_sign_in_sync, f"s{n}", 60)
    listed = await asyncio.to_thread(layer.live_processes_sync)
    assert sorted(listed) == [(b"%d" % n, [b"c"]) for n in range(10)]
    assert len(await layer.ended_sign_ins()) == 10


def test_a_loop_that_closes_ends_its_connections(open_redis_layer):
    layer = open_redis_layer()
    with asyncio.Runner() as runner:
        runner.run(layer.append("lobby", b"1"))
        loop = runner.get_loop()
        assert loop in layer._layers
    assert loop not in layer._layers


@pytest.fixture
def said(monkeypatch, caplog):
    monkeypatch.setattr(connections, "_log", SparseLogs(logging.getLogger("realtime")))
    return lambda: [text for text in caplog.messages if "list of hosts" in text]


@pytest.mark.parametrize("order", [[0], [1, 0], [0, 2], [0, 1, 2]])
async def test_processes_with_other_hosts_notice_each_other(
    order, open_redis_layer, two_servers, said
):
    """While `hosts` grow process by process, rooms would be deaf in silence."""
    places = [two_servers[0], two_servers[1], f"{two_servers[1]}/5"]
    old = open_redis_layer(hosts=places[:2], prefix="grow")
    new = open_redis_layer(hosts=[places[n] for n in order], prefix="grow")
    await old.beat("old-1", b"", 30)
    await old.beat("old-2", b"", 30)
    assert not said()
    await new.beat("new", b"", 30)
    (line,) = said()
    assert line.startswith("2 other processes") and f"has {len(order)}:" in line
    await old.beat("old-1", b"", 30)
    assert len(said()) == 1  # once a minute
    connections._log = SparseLogs(logging.getLogger("realtime"))
    await old.beat("old-1", b"", 30)
    assert said()[1].startswith("1 other")
    # When the others have ended there is nothing to report.
    connections._log = SparseLogs(logging.getLogger("realtime"))
    for process in ("old-1", "old-2"):
        await old.beat(process, b"", 0)
    await new.beat("new", b"", 30)
    assert len(said()) == 2
    await new.beat("new", b"", 0)


def test_passwords_and_users_make_no_other_host():
    one, other = (
        Topology([{"address": f"redis://{who}10.0.0.1:6379/0"}], "asgi", lambda: None)
        for who in ("", "site:secret@")
    )
    assert one.fingerprints == other.fingerprints
    sentinel = {"master_name": "m", "sentinels": [("a", 1)]}
    assert "secret" not in str(Topology([sentinel], "asgi", lambda: None).fingerprints)

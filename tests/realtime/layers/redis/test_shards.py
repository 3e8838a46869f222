"""One dead shard of several: what belongs to the living ones goes on."""

import asyncio
import time

import pytest

from realtime.control import announcements
from realtime.exceptions import LayerUnavailable, PartlyUnavailable
from realtime.layers.groups import CONTROL_GROUP, group_name
from realtime.layers.records import Member, PresenceChange
from realtime.rooms.publications import Retention
from tests.support import processes
from tests.support.faults import FaultProxy

KEEP_THREE = Retention(3, 60)
ALICE = Member("c1", "1", b'{"user":"1"}')


@pytest.fixture(scope="module")
def other_server(tmp_path_factory):
    port = processes.free_port()
    other = processes.start_redis(tmp_path_factory.mktemp("other-redis"), port)
    yield port
    other.stop()


@pytest.fixture
def proxy(other_server):
    proxy = FaultProxy(other_server)
    yield proxy
    proxy.stop()


@pytest.fixture
def hosts(redis_server, proxy):
    return [redis_server, f"redis://127.0.0.1:{proxy.port}"]


@pytest.fixture
def layer(hosts, open_redis_layer):
    return open_redis_layer(hosts=hosts)


@pytest.fixture
def spread(layer):
    """A room, a user or another name on each shard: `living, dead = spread(layer.topology...)`."""

    def _spread(index):
        names = [f"name-{n}" for n in range(50)]
        return [next(name for name in names if index(name) == shard) for shard in (0, 1)]

    return _spread


@pytest.fixture
def rooms(layer, spread):
    return spread(layer.topology.room_index)


@pytest.fixture(params=["refuse", "swallow"])
async def die(request, layer, proxy, rooms):
    """Let the second shard die, in use or from the beginning."""

    async def _die(*, first_used=True):
        if first_used:
            for room in rooms:
                await layer.append(room, b"1", KEEP_THREE)
            await layer.ended_sign_ins()
        getattr(proxy, request.param)()
        if first_used:
            # It takes one timeout to learn that it is dead.
            with pytest.raises(LayerUnavailable):
                await layer.append(rooms[1], b"1")

    return _die


async def test_rooms_presence_and_positions_of_the_living_go_on(layer, rooms, die):
    living, dead = rooms
    await die()
    started = time.monotonic()
    for _ in range(20):
        assert set(await layer.positions([dead, living])) == {living}
        changes = [PresenceChange(room, [ALICE]) for room in (dead, living)]
        assert [news.room for news in await layer.update_presence(changes)] == [living]
        found = await layer.last_changes([("1", dead), ("1", living)])
        assert isinstance(found[0], LayerUnavailable) and found[1] == -1
        await layer.append(living, b"2", KEEP_THREE)
    # 20 timeouts would take 38 s.
    assert time.monotonic() - started < 20


async def test_connections_of_the_living_go_on(layer, spread, rooms, die):
    def shard_of(user):
        return layer.topology.index(layer.topology.keys.user(user, "x").rpartition(":")[0])

    living, dead = spread(shard_of)
    await die()
    for process in (f"p{number}" for number in range(1, 21)):
        await layer.beat(process, b"{}", 30)
        assert await layer.beat(process, b"{}", 30) is True
    found = await layer.admit("p1", [("c1", dead), ("c2", living), ("c3", living)], 1)
    assert found == [True, True, False]
    failed = await layer.write_connections("p1", {}, {"c1": dead, "c2": living}, 30)
    assert "c1" in failed
    assert await layer.admit("p1", [("c3", living)], 1) == [True]
    assert await layer.add_usage({dead: 1, living: 2}) == {living: 2}
    assert 0 < len(await asyncio.to_thread(layer.live_processes_sync)) < 20


@pytest.mark.parametrize("first_used", [True, False])
async def test_the_control_group_is_heard_once_through_any_living_shard(
    first_used, layer, die, rooms, proxy
):
    heard = []

    async def listen(layer):
        channel = await layer.new_channel("realtime.hub.")
        layer.on_message(channel, heard.append, lambda *it: None)
        await layer.group_add(CONTROL_GROUP, channel)

    async def settle(count):
        async with asyncio.timeout(60):
            while len(heard) < count:
                await asyncio.sleep(0.01)

    if first_used:
        await listen(layer)
        await asyncio.to_thread(layer.group_send_sync, CONTROL_GROUP, {"type": "all", "n": 1})
        await settle(1)
    await die(first_used=first_used)
    if not first_used:
        await listen(layer)
    await asyncio.to_thread(layer.group_send_sync, CONTROL_GROUP, {"type": "all", "n": 2})
    await layer.group_send(CONTROL_GROUP, {"type": "all", "n": 3})
    await settle(2 + first_used)
    proxy.heal()
    async with asyncio.timeout(60):
        while not await layer.positions([rooms[1]]):
            await asyncio.sleep(0.1)
    await layer.group_send(CONTROL_GROUP, {"type": "all", "n": 4})
    await settle(3 + first_used)
    numbers = [message["n"] for message in heard]
    assert numbers == sorted(set(numbers))


async def test_signing_out_works_through_any_living_shard(layer, die, proxy):
    await asyncio.to_thread(layer.end_sign_in_sync, "before", 60)
    await die()
    await asyncio.to_thread(layer.end_sign_in_sync, "while", 60)
    assert set(await layer.ended_sign_ins()) == {"before", "while"}


async def test_marks_that_a_dead_shard_missed_are_made_up_for(layer, rooms, die, proxy):
    living, dead = rooms
    await die()
    with pytest.raises(PartlyUnavailable) as raised:
        await asyncio.to_thread(layer.mark_changes_sync, [("1", None)])
    async with asyncio.timeout(60):
        while (marked := (await layer.last_changes([("1", living)]))[0]) <= 0:
            await asyncio.sleep(0.1)
    # A change in one room needs the shard of that room alone.
    await asyncio.to_thread(layer.mark_changes_sync, [("2", living)])
    await layer.mark_changes([("3", living)])
    proxy.heal()

    async def made_up():
        async with asyncio.timeout(60):
            while True:
                try:
                    return await asyncio.to_thread(raised.value.retry)
                except PartlyUnavailable as error:
                    raised.value.retry = error.retry
                    await asyncio.sleep(0.1)

    await made_up()
    async with asyncio.timeout(60):
        while isinstance((found := (await layer.last_changes([("1", dead)]))[0]), Exception):
            await asyncio.sleep(0.1)
    assert found >= marked
    assert (await layer.last_changes([("1", living)]))[0] == marked


async def test_a_change_is_announced_although_a_shard_is_dead(
    layer, rooms, die, proxy, monkeypatch
):
    monkeypatch.setattr(announcements, "get_layer", lambda: layer)
    heard = asyncio.Queue()
    channel = await layer.new_channel("realtime.hub.")
    layer.on_message(channel, heard.put_nowait, lambda *it: None)
    await layer.group_add(CONTROL_GROUP, channel)
    await die()
    await asyncio.to_thread(announcements.announce, announcements.review(user=1))
    assert (await asyncio.wait_for(heard.get(), 10))["type"] == "realtime.recheck"
    proxy.heal()
    await asyncio.to_thread(announcements._owed_marks.join)
    async with asyncio.timeout(60):
        while isinstance((found := (await layer.last_changes([("1", rooms[1])]))[0]), Exception):
            await asyncio.sleep(0.1)
    assert found > 0


async def test_new_channels_are_on_a_living_shard(layer, die, rooms):
    await die(first_used=False)
    for _ in range(3):
        channel = await layer.new_channel()
        await layer.group_add(group_name(rooms[0]), channel)
        await layer.append(rooms[0], b"1")
        assert (await asyncio.wait_for(layer.receive(channel), 5))["body"] == b"1"


async def test_with_no_living_shard_there_is_an_error(open_redis_layer, unused_port):
    layer = open_redis_layer(hosts=[f"redis://127.0.0.1:{unused_port}/{db}" for db in (0, 1)])
    for call in (
        lambda: layer.group_send_sync(CONTROL_GROUP, {"type": "all"}),
        lambda: layer.end_sign_in_sync("s", 60),
        lambda: layer.mark_changes_sync([("1", None)]),
        layer.live_processes_sync,
    ):
        with pytest.raises(LayerUnavailable):
            await asyncio.to_thread(call)
    for call in (
        lambda: layer.group_send(CONTROL_GROUP, {"type": "all"}),
        layer.ended_sign_ins,
        lambda: layer.beat("p", b"", 10),
        layer.new_channel,
    ):
        with pytest.raises(LayerUnavailable):
            await call()


async def test_a_user_whose_redis_is_dead_is_counted_on_another(layer, spread, die, proxy):
    def shard_of(user):
        return layer.topology.index(layer.topology.keys.user(user, "x").rpartition(":")[0])

    _, dead = spread(shard_of)
    await die()
    assert await layer.admit("p1", [("c1", dead), ("c2", dead)], 1) == [True, False]
    await layer.write_connections("p1", {}, {"c1": dead}, 30)
    assert await layer.admit("p1", [("c3", dead)], 1) == [True]
    proxy.heal()
    async with asyncio.timeout(15):
        # Its own counts again. The limit holds there too.
        while await layer.admit("p1", [("c4", dead)], 2) != [True] or "c4" in elsewhere(layer):
            await layer.write_connections("p1", {}, {"c4": dead}, 30)
            await asyncio.sleep(0.1)
    assert await layer.admit("p1", [("c5", dead)], 1) == [False]


def elsewhere(layer):
    return layer._connections._elsewhere


def patiently(call, *args):
    """The one that lives may be late, too, on a busy machine."""
    while True:
        try:
            return call(*args)
        except LayerUnavailable:
            time.sleep(0.1)


async def test_revocations_do_not_wait_for_a_redis_that_hangs(layer, rooms, proxy):
    for room in rooms:
        await layer.append(room, b"1", KEEP_THREE)
    await asyncio.to_thread(layer.mark_changes_sync, [("1", None)])
    proxy.swallow()
    started = time.monotonic()

    def revoke():
        for _ in range(10):
            for change in ("1", None), ("1", rooms[1]):
                with pytest.raises(PartlyUnavailable):
                    layer.mark_changes_sync([change])
            patiently(layer.send_order_sync, {"type": "realtime.recheck", "id": "1"})
            patiently(layer.end_sign_in_sync, "s", 60)

    await asyncio.to_thread(revoke)
    # 40 timeouts would take 76 s.
    assert time.monotonic() - started < 30
    assert (await layer.last_changes([("1", rooms[0])]))[0] > 0

"""Redis stops, hangs, restarts empty, is cut off or slow: sockets stay, and nobody is left out.

Every fault hits a Daphne and a uvicorn process at once.
"""

import asyncio
import contextlib
import json
import random
import re
import shutil
import time
import uuid

import pytest
import redis

from realtime.exceptions import LayerUnavailable
from realtime.layers.redis import RedisRoomLayer
from realtime.rooms.publications import Retention
from tests.delivery.clients import ROOM, Member
from tests.delivery.ledger import Ledger, judge
from tests.support import processes
from tests.support.faults import FaultProxy
from tests.support.lengths import BLACK_HOLE_SECONDS, IDLE_SECONDS, OUTAGE_SECONDS

MEMBERS = 100
BACK_SECONDS = 20
"""Before the next look at the positions, which would hide that something else does nothing."""
TEMPORARY_SECONDS = 10  # 2 s, and the way on a slow machine
MAKE_ROOM = (
    "from realtime.models import Room; "
    f"Room.objects.create(name='{ROOM}', access='authenticated', history_size=1000)"
)


class BreakableRedis:
    """A Redis with its data on disk, and a way to it that breaks."""

    def __init__(self, folder):
        self.folder = folder
        self.port = processes.free_port()
        self.prefix = f"faults-{uuid.uuid4().hex[:8]}"
        self.start()
        self.proxy = FaultProxy(self.port)

    def start(self):
        self.process = processes.start_redis(self.folder, self.port, durable=True)

    def stop(self):
        self.process.stop()

    def forget_everything(self):
        shutil.rmtree(self.folder / "appendonlydir")

    def command(self, *words):
        with redis.Redis(port=self.port) as client:
            return client.execute_command(*words)


@pytest.fixture(scope="module")
def broken_redis(tmp_path_factory):
    broken = BreakableRedis(tmp_path_factory.mktemp("broken-redis"))
    yield broken
    broken.stop()
    broken.proxy.stop()


@pytest.fixture(scope="module")
def sites(start_site, broken_redis):
    """A Daphne and a uvicorn process behind the proxy."""
    env = {
        "REDIS_URL": f"redis://127.0.0.1:{broken_redis.proxy.port}/0",
        "REDIS_PREFIX": broken_redis.prefix,
        "DJANGO_SETTINGS_MODULE": "tests.settings.brief",
    }
    daphne = start_site("daphne", **env)
    uvicorn = start_site("uvicorn-fast", beside=daphne)
    daphne.shell(MAKE_ROOM)
    return [daphne, uvicorn]


@pytest.fixture
def site(sites):
    """For `sign` and `open_client`."""
    return sites[0]


@pytest.fixture
async def members(sites, sign):
    """A hundred members of one room, one half on each process; all must keep their sockets."""
    headers = {"Authorization": f"Bearer {sign('alice')}"}
    ledger = Ledger()
    members = [
        Member([sites[n % 2].ws_url], headers, ledger, random.Random(n)) for n in range(MEMBERS)
    ]
    tasks = [asyncio.create_task(member.run()) for member in members]
    await asyncio.gather(*(member.ready.wait() for member in members))
    yield members
    assert {member.connections for member in members} == {1}, "a socket was lost"
    verdict = judge(ledger, numbered=True)
    for task in tasks:
        assert not task.done(), task
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert verdict.is_clean, verdict


@pytest.fixture
async def say(broken_redis):
    """Publish numbers, past the proxy."""
    layer = RedisRoomLayer(
        hosts=[f"redis://127.0.0.1:{broken_redis.port}/0"], prefix=broken_redis.prefix
    )

    run = uuid.uuid4().hex

    async def _say(*numbers):
        for number in numbers:
            body = json.dumps({"data": {"from": "direct", "n": number}}).encode()
            while True:
                with contextlib.suppress(LayerUnavailable):
                    await layer.append(ROOM, body, Retention(1000, 300), once=f"say-{number}-{run}")
                    break

    yield _say
    await layer.flush()


async def until(condition, seconds=BACK_SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        await asyncio.sleep(0.05)


async def all_have(members, *numbers, seconds=BACK_SECONDS):
    """Wait until every member has just these, in this order."""
    await until(
        lambda: all([n for (_, n), _ in m.journal.seen] == list(numbers) for m in members), seconds
    )


def untouched(members):
    """Nobody had to subscribe again."""
    return not members[0].ledger.recoveries


async def publish_fails_in_time(open_client, sign, sites):
    for site in sites:
        client = await open_client(sign("alice"), url=site.ws_url)
        data = {"from": site.url, "n": 1}
        for command in (
            {"publish": {"channel": ROOM, "data": data}},
            {"subscribe": {"channel": "lobby"}},
        ):
            begun = time.monotonic()
            error = (await client.call(**command))["error"]
            assert (error["code"], error["temporary"]) == (100, True)
            assert time.monotonic() - begun < TEMPORARY_SECONDS


def complaints(sites):
    """The lines in which the servers complained, by server."""
    return [re.findall(r"WARNING.*|ERROR.*", site.process.log.read_text()) for site in sites]


@pytest.mark.parametrize("keeps_data", [True, False], ids=["with its data", "empty"])
async def test_redis_stops_and_comes_back(
    keeps_data, broken_redis, sites, members, say, open_client, sign
):
    await say(1, 2)
    await all_have(members, 1, 2)
    before, begun = complaints(sites), time.monotonic()
    broken_redis.stop()
    try:
        await publish_fails_in_time(open_client, sign, sites)
        for site in sites:
            plain = await open_client(
                url=site.ws_url + "rooms/lobby/",
                connect=False,
                additional_headers={"Authorization": f"Bearer {sign('alice')}"},
            )
            assert await plain.closed() == 3004
            ticket = await open_client(url=site.ws_url + "?ticket=some", connect=False)
            assert await ticket.closed() == 3004
        await asyncio.sleep(begun + OUTAGE_SECONDS - time.monotonic())
    finally:
        if not keeps_data:
            broken_redis.forget_everything()
        broken_redis.start()
    for earlier, lines in zip(before, complaints(sites), strict=True):
        # The same complaint comes once a minute, so a second outage may add none.
        assert lines and len(lines) - len(earlier) <= 1 + (time.monotonic() - begun)
    epochs = {member.place.epoch for member in members}
    if keeps_data:
        await say(3)
        await all_have(members, 1, 2, 3)
        assert untouched(members)
    else:
        await until(lambda: all(m.ready.is_set() and m.place.epoch not in epochs for m in members))
        assert members[0].ledger.recoveries["not recovered, with notice"] == MEMBERS
        await say(3)
        await all_have(members, 1, 2, 3)


async def test_redis_is_flushed(broken_redis, members, say):
    await say(1)
    await all_have(members, 1)
    epochs = {member.place.epoch for member in members}
    await asyncio.to_thread(broken_redis.command, "FLUSHALL")
    await say(2)
    await until(lambda: all(m.ready.is_set() and m.place.epoch not in epochs for m in members))
    assert members[0].ledger.recoveries["not recovered, with notice"] == MEMBERS
    await say(3)
    await all_have(members, 1, 3)


async def test_a_black_hole(broken_redis, sites, members, say, open_client, sign):
    await say(1)
    await all_have(members, 1)
    pings = [member.pings for member in members]
    begun = time.monotonic()
    broken_redis.proxy.swallow()
    try:
        await say(2, 3)
        await publish_fails_in_time(open_client, sign, sites)
        await asyncio.sleep(begun + BLACK_HOLE_SECONDS - time.monotonic())
    finally:
        broken_redis.proxy.heal()
    assert all(now.pings >= before + 5 for before, now in zip(pings, members, strict=True))
    await until(lambda: all(m.place.offset >= 3 for m in members))
    await say(4)
    # What was swallowed on the way to Redis arrives late: the publishes that nobody acknowledged.
    await until(lambda: all(4 in [n for (_, n), _ in m.journal.seen] for m in members))
    assert untouched(members)


KILLERS = {
    "all connections are reset": lambda broken: broken.proxy.reset(),
    "Redis kills the listeners": lambda broken: broken.command("CLIENT", "KILL", "TYPE", "pubsub"),
    "Redis kills the others": lambda broken: broken.command("CLIENT", "KILL", "TYPE", "normal"),
}


@pytest.mark.parametrize("how", KILLERS)
async def test_connections_are_killed(how, broken_redis, members, say):
    await say(1)
    await all_have(members, 1)
    for n in range(3):
        await asyncio.to_thread(KILLERS[how], broken_redis)
        await say(n + 2)
    await all_have(members, 1, 2, 3, 4)
    assert untouched(members)


async def test_half_a_second_of_latency(broken_redis, sites, members, open_client, sign):
    clients = [await open_client(sign("alice"), url=site.ws_url) for site in sites]
    broken_redis.proxy.delay(0.25)
    try:
        for n in range(1, 11):
            replies = await asyncio.gather(
                *(
                    client.call(publish={"channel": ROOM, "data": {"from": name, "n": n}})
                    for name, client in zip("ab", clients, strict=True)
                )
            )
            assert all("publish" in reply for reply in replies)
        await until(lambda: all(len(m.journal.seen) == 20 for m in members))
    finally:
        broken_redis.proxy.heal()
    assert untouched(members)


async def test_idle_connections_stay(sites, members, say):
    before = complaints(sites)
    await asyncio.sleep(IDLE_SECONDS)  # longer than any time-out towards Redis
    assert complaints(sites) == before
    await say(1)
    await all_have(members, 1)
    assert untouched(members)

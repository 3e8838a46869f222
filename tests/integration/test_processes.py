"""Processes end: on request, by force, and one after the other under load."""

import asyncio
import json
import random
import time

import pytest
import redis
import websockets

from realtime.layers.redis import RedisRoomLayer
from tests.delivery.clients import ROOM, Member, SocketPublisher
from tests.delivery.ledger import Ledger, judge
from tests.support import processes
from tests.support.lengths import DRAINED_SOCKETS

BRIEF = {"DJANGO_SETTINGS_MODULE": "tests.settings.brief"}
DRAIN_SECONDS = 4  # of the brief settings
MAKE_ROOM = (
    "from realtime.models import Room; "
    f"Room.objects.create(name='{ROOM}', access='authenticated', history_size=1000)"
)


def redis_of(site):
    return redis.Redis.from_url(site.env["REDIS_URL"], decode_responses=True)


def presence_of(site, room=ROOM):
    code = f"from realtime import presence; print(len(presence('{room}')))"
    return int(site.shell(code).splitlines()[-1])


async def users_in(site):
    layer = RedisRoomLayer(hosts=[site.env["REDIS_URL"]], prefix=site.env["REDIS_PREFIX"])
    try:
        return (await layer.presence(ROOM)).users
    finally:
        await layer.flush()


async def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("server", ["daphne", "uvicorn", "uvicorn-fast"])
async def test_sigterm_drains(server, start_site, tmp_path):
    site = start_site(server, redis=True, **BRIEF)
    site.shell(MAKE_ROOM)
    token = await asyncio.to_thread(site.token, "alice")
    headers = {"Authorization": f"Bearer {token}"}
    dice, ledger = random.Random(1), Ledger()
    members = []
    for start in range(0, DRAINED_SOCKETS, 25):  # Daphne's listen backlog is 50
        part = [Member([site.ws_url], headers, ledger, dice) for _ in range(25)]
        members += [(member, asyncio.create_task(member.run())) for member in part]
        await asyncio.gather(*(member.ready.wait() for member in part))
        for member in part:
            member.comes_back = False
        assert len(members) == start + 25
    publisher = SocketPublisher([site.ws_url], headers, ledger, dice, name="p")
    publishing = asyncio.create_task(publisher.run())
    acknowledged = []

    async def publish():
        for number in range(1, 10_000):
            if not await publisher.publish(number):
                return
            acknowledged.append(number)

    await publisher.ready.wait()
    work = asyncio.create_task(publish())
    await until(lambda: len(acknowledged) > 3, 60)
    publisher.comes_back = False
    begun = time.monotonic()
    site.process.popen.terminate()
    await asyncio.to_thread(site.process.popen.wait, DRAIN_SECONDS * 5)
    took = time.monotonic() - begun
    # What the server does after the drain is its own, and starts as soon as the loop is free.
    assert took < DRAIN_SECONDS + 10, f"it took {took:.1f} s"
    # The clients are of this process, which may be slower than the server.
    await until(lambda: all(member.close_codes for member, _ in members), 60)
    assert {code for member, _ in members for code in member.close_codes} == {3001}
    closed_at = [member.closed_at - begun for member, _ in members]
    spread = max(closed_at) - min(closed_at)
    assert spread > DRAIN_SECONDS * 0.4, f"all were closed within {spread:.2f} s"
    for task in [publishing, work, *(task for _, task in members)]:
        task.cancel()
    await asyncio.gather(publishing, work, *(t for _, t in members), return_exceptions=True)
    with redis_of(site) as shared:
        prefix = site.env["REDIS_PREFIX"]
        assert not shared.pubsub_channels(f"{prefix}*")
        in_room = f"{prefix}:room:{ROOM}:connections"
        # The last connection of a user stays in the room until the user should be back.
        assert shared.hlen(in_room) <= 1
        assert set(shared.scan_iter(f"{prefix}*:connections")) <= {in_room}
        # What was acknowledged is kept, also what was under way when the signal came.
        kept = shared.keys(f"{prefix}*{ROOM}*")
        assert kept
    code = (
        "from realtime import history; "
        f"print([m.data['n'] for m in history('{ROOM}', limit=1000, reverse=True).messages])"
    )
    numbers = json.loads(site.shell(code).splitlines()[-1])
    assert set(acknowledged[-250:]) <= set(numbers)


async def test_a_second_sigterm_does_not_cut_the_first_one_short(start_site):
    """A supervisor that signals the whole process group reaches a worker twice: by itself, and
    through its parent."""
    site = start_site("uvicorn-workers", redis=True, **BRIEF)
    site.shell(MAKE_ROOM)
    token = await asyncio.to_thread(site.token, "alice")
    headers = {"Authorization": f"Bearer {token}"}
    dice, ledger = random.Random(7), Ledger()
    members = [Member([site.ws_url], headers, ledger, dice) for _ in range(100)]
    running = [asyncio.create_task(member.run()) for member in members]
    await asyncio.gather(*(member.ready.wait() for member in members))
    for member in members:
        member.comes_back = False
    begun = time.monotonic()
    site.process.terminate_group()
    await asyncio.to_thread(site.process.popen.wait, DRAIN_SECONDS * 5)
    await until(lambda: all(member.close_codes for member in members), 60)
    assert {code for member in members for code in member.close_codes} == {3001}
    # 50 clients a worker, each 0.02 s after the one before.
    spread = max(member.closed_at for member in members) - begun
    assert spread > 0.5, f"all were closed within {spread:.2f} s"
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_a_killed_process(start_site, tmp_path):
    """Its presence ends with the TTL, and its clients recover on the other process."""
    doomed = start_site("daphne", redis=True, **BRIEF)
    doomed.shell(MAKE_ROOM)
    other = start_site("uvicorn-fast", beside=doomed)
    dice, ledger = random.Random(2), Ledger()
    tokens = {u: await asyncio.to_thread(other.token, u) for u in ("alice", "bob")}

    def member(user, *sites):
        headers = {"Authorization": f"Bearer {tokens[user]}"}
        return Member([site.ws_url for site in sites], headers, ledger, dice)

    stays, moves, goes = member("bob", other), member("bob", doomed), member("alice", doomed)
    tasks = {m: asyncio.create_task(m.run()) for m in (stays, moves, goes)}
    for m in tasks:
        await m.ready.wait()
    publisher = SocketPublisher(
        [other.ws_url], {"Authorization": f"Bearer {tokens['bob']}"}, ledger, dice, name="p"
    )
    tasks[publisher] = asyncio.create_task(publisher.run())
    assert await publisher.publish(1)
    await until(lambda: len(moves.journal.seen) == 1)
    assert await asyncio.to_thread(presence_of, other) == 2
    tasks[goes].cancel()  # with its process: nobody says goodbye
    moves.urls = [other.ws_url]
    doomed.process.kill()
    assert await publisher.publish(2)
    assert await users_in(other) == 2  # read at once: the TTL has not passed
    await until(lambda: len(moves.journal.seen) == 2)
    assert moves.ledger.recoveries["recovered, with messages"] == 1
    left = other.shell  # counted by another process, as a view would
    deadline = time.monotonic() + 30
    while "alice" in await asyncio.to_thread(
        left, f"from realtime import presence; print([p.info for p in presence('{ROOM}')])"
    ):
        assert time.monotonic() < deadline, "the presence of a killed process stays"
    assert judge(Ledger([stays.journal, moves.journal]), numbered=True).is_clean
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


async def test_a_rolling_restart_under_load(start_site, tmp_path):
    sites = {"daphne": start_site("daphne", redis=True, **BRIEF)}
    sites["daphne"].shell(MAKE_ROOM)
    sites["uvicorn"] = start_site("uvicorn-fast", beside=sites["daphne"])
    dice, ledger = random.Random(3), Ledger()
    token = await asyncio.to_thread(sites["daphne"].token, "alice")
    common = (
        [s.ws_url for s in sites.values()],
        {"Authorization": f"Bearer {token}"},
        ledger,
        dice,
    )
    members = [Member(*common) for _ in range(20)]
    publishers = [SocketPublisher(*common, name=f"p{n}") for n in range(4)]
    running = [asyncio.create_task(client.run()) for client in (*members, *publishers)]
    await asyncio.gather(*(client.ready.wait() for client in (*members, *publishers)))
    stop = asyncio.Event()

    async def publish(publisher):
        acknowledged = ledger.acknowledged[publisher.name] = []
        for number in range(1, 100_000):
            if stop.is_set():
                return
            ledger.sent += 1
            if await publisher.publish(number):
                acknowledged.append(number)
            await asyncio.sleep(0.02)

    work = [asyncio.create_task(publish(publisher)) for publisher in publishers]
    for name, site in list(sites.items()):
        await asyncio.sleep(0.5)
        site.process.popen.terminate()
        await asyncio.to_thread(site.process.popen.wait, 60)
        again = await asyncio.to_thread(
            processes.start_site, name, tmp_path, dict(site.env), site.port
        )
        site.process = again.process  # for the fixture, which stops it
    await asyncio.sleep(0.5)
    stop.set()
    await asyncio.gather(*work)
    await until(lambda: len({member.place for member in members}) == 1)
    assert {code for m in members for code in m.close_codes} == {3001}
    verdict = judge(ledger, numbered=True)
    assert verdict.is_clean and verdict.told == 0, verdict
    assert sum(map(len, ledger.acknowledged.values())) > 200
    assert ledger.recoveries["recovered, with messages"] > 0
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_a_burst_to_fifty_members_over_two_processes(start_site):
    """A thousand messages of two publishers: everything, in one order for everybody."""
    first = start_site("daphne", redis=True)
    first.shell(MAKE_ROOM)
    second = start_site("uvicorn", beside=first)
    dice, ledger = random.Random(4), Ledger()
    token = await asyncio.to_thread(first.token, "alice")
    headers = {"Authorization": f"Bearer {token}"}
    urls = [first.ws_url, second.ws_url]
    members = [Member([urls[n % 2]], headers, ledger, dice) for n in range(50)]
    publishers = [SocketPublisher([url], headers, ledger, dice, name=url) for url in urls]
    running = [asyncio.create_task(client.run()) for client in (*members, *publishers)]
    await asyncio.gather(*(client.ready.wait() for client in (*members, *publishers)))

    async def publish(publisher):
        for number in range(1, 501):
            assert await publisher.publish(number)

    await asyncio.gather(*map(publish, publishers))
    await until(lambda: all(len(m.journal.seen) == 1000 for m in members), 60)
    assert judge(ledger, numbered=True).is_clean
    assert all(m.journal.seen == members[0].journal.seen for m in members)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_a_server_that_drains_takes_nobody_in(start_site):
    site = start_site("uvicorn", redis=True, **BRIEF)
    headers = {"Authorization": f"Bearer {await asyncio.to_thread(site.token, 'alice')}"}
    # They are closed one after the other, over some seconds.
    opened = [await websockets.connect(site.ws_url, additional_headers=headers) for _ in range(200)]
    ends = [asyncio.create_task(connection.wait_closed()) for connection in opened]
    site.process.popen.terminate()
    async with asyncio.timeout(60):
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    async with websockets.connect(site.ws_url, additional_headers=headers) as late:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await late.send('{"id": 1, "connect": {}}')
            while True:
                await late.recv()
        assert closed.value.rcvd.code == 3001
    await asyncio.gather(*ends)

"""Code and databases that hang stop only what is their own, on real servers."""

import asyncio
import re
import sqlite3
import time

import pytest

from tests.support.slow_code import HUNG_SECONDS

SLOW_CODE = {"DJANGO_SETTINGS_MODULE": "tests.settings.slow_code"}
DRAIN_SECONDS = 4
LONG = HUNG_SECONDS / 2


@pytest.fixture(params=["uvicorn-fast"])
def site(request, start_site):
    """One that nobody else uses, because threads are lost in it. Which server it is makes a
    difference when it ends, and in nothing else."""
    site = start_site(request.param, redis=True, **SLOW_CODE)
    yield site
    site.process.kill()


@pytest.fixture(autouse=True)
def clean_logs():
    """What hangs is in the log, as an error."""


async def until(condition):
    async with asyncio.timeout(LONG):
        while not await condition():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("site", ["daphne"], indirect=True)
async def test_sixty_slow_calls_of_one_user_delay_nobody_else(site, open_client, sign, tmp_path):
    mine = [await open_client(sign("alice")) for _ in range(60)]
    later, now = tmp_path / "later", tmp_path
    calls = [
        asyncio.create_task(client.call(rpc={"method": "slow", "data": str(later)}))
        for client in mine
    ]
    await asyncio.sleep(0)
    async with asyncio.timeout(LONG):
        bob = await open_client(sign("bob"))
        assert "subscribe" in await bob.call(subscribe={"channel": "lobby"})
        assert "publish" in await bob.call(publish={"channel": "lobby", "data": "hello"})
        assert "rpc" in await bob.call(rpc={"method": "slow", "data": str(now)})
        assert not any(call.done() for call in calls)
        later.touch()
        assert all("rpc" in reply for reply in await asyncio.gather(*calls))


@pytest.mark.parametrize("site", ["uvicorn"], indirect=True)
async def test_rules_that_hang_keep_nobody_else_out(site, open_client, sign):
    members = [await open_client(sign(name)) for name in ("bob", "carol")]
    for member in members:
        for room in ("lobby", "desk/1"):
            assert "subscribe" in await member.call(subscribe={"channel": room})
    hung = [await open_client(sign("alice")) for _ in range(60)]
    joins = [
        asyncio.create_task(client.call(subscribe={"channel": f"hung/{number}"}))
        for number, client in enumerate(hung)
    ]
    await asyncio.sleep(0)
    newcomer = await open_client(sign("bob"))
    async with asyncio.timeout(LONG):
        for room in ("lobby", "desk/2"):
            assert "subscribe" in await newcomer.call(subscribe={"channel": room})
        for reply in await asyncio.gather(*joins):
            # A rule that hung is a no; one that had to wait is temporary.
            code = reply["error"]["code"]
            assert code == 103 or (code == 100 and reply["error"]["temporary"])
        # The periodic review has asked for everybody's rights by now.
        assert "publish" in await newcomer.call(publish={"channel": "lobby", "data": 1})
        for member in members:
            await member.publication("lobby")
    for member in members:
        assert not [frame for frame in member.frames if "unsubscribe" in frame.get("push", {})]
    # Daphne prints each line twice.
    errors = set(re.findall(r"HungRoom\.can_join has not returned.*", site.process.log.read_text()))
    assert len(errors) == 1, errors


@pytest.mark.parametrize("site", ["daphne", "uvicorn", "uvicorn-fast"], indirect=True)
async def test_the_end_of_a_connection_and_of_the_server_wait_for_no_code(site, open_client, sign):
    alice, bob = await open_client(sign("alice")), await open_client(sign("bob"))
    for client in (alice, bob):
        assert "subscribe" in await client.call(subscribe={"channel": "lobby"})
    waiting = [await open_client(sign("alice")) for _ in range(5)]
    for client in (alice, bob, *waiting):
        await client.send(rpc={"method": "hung", "data": 1})
        await client.send(subscribe={"channel": "hung/1"})
    watcher = await open_client(sign("carol"))
    await watcher.call(subscribe={"channel": "lobby"})

    async def people():
        reply = await watcher.call(presence_stats={"channel": "lobby"})
        return reply["presence_stats"]["num_clients"]

    assert await people() == 3
    began = time.monotonic()
    for client in (alice, *waiting):
        client.connection.transport.abort()

    async def alice_has_gone():
        return await people() == 2

    await until(alice_has_gone)
    assert time.monotonic() - began < LONG
    # The server ends with commands that hang, too.
    began = time.monotonic()
    site.process.popen.terminate()
    await asyncio.to_thread(site.process.popen.wait, LONG)
    assert time.monotonic() - began < DRAIN_SECONDS + 10
    assert await watcher.closed() == 3001


async def test_a_database_that_is_locked_throws_nobody_out(site, open_client, sign):
    alice, bob = await open_client(sign("alice")), await open_client(sign("bob"))
    for client in (alice, bob):
        for room in ("lobby", "desk/1"):
            assert "subscribe" in await client.call(subscribe={"channel": room})
    path = site.env["DATABASE_URL"].removeprefix("sqlite:///")
    lock = sqlite3.connect(path, isolation_level=None)
    # In WAL mode others may read during a write; this lock keeps them out.
    lock.execute("PRAGMA locking_mode=EXCLUSIVE")
    lock.execute("PRAGMA journal_mode=DELETE")
    lock.execute("BEGIN EXCLUSIVE")
    async with asyncio.timeout(LONG):
        # The second comes after a periodic review of the first.
        for _ in range(3):
            error = (await alice.call(subscribe={"channel": "staff"}))["error"]
            assert (error["code"], error["temporary"]) == (100, True)
    lock.execute("COMMIT")
    lock.close()

    async def can_join():
        return "subscribe" in await alice.call(subscribe={"channel": "staff"})

    await until(can_join)
    assert "publish" in await bob.call(publish={"channel": "lobby", "data": 1})
    await alice.publication("lobby")
    for client in (alice, bob):
        assert not [frame for frame in client.frames if "unsubscribe" in frame.get("push", {})]

"""`manage.py realtime` beside two running servers."""

import asyncio
import io
import json
import uuid

import pytest
from channels.layers import channel_layers
from django.core.management import call_command

from realtime.layers.redis import RedisRoomLayer


@pytest.fixture(scope="module")
def site(start_site):
    return start_site("daphne", redis=True)


@pytest.fixture(scope="module")
def neighbour(start_site, site):
    return start_site("uvicorn", beside=site)


@pytest.fixture
async def run(site):
    """`await run("status")`: what `manage.py realtime status` prints. Run by the tests themselves,
    on the Redis of the servers, which saves the start of a process."""
    layer = RedisRoomLayer(hosts=[site.env["REDIS_URL"]], prefix=site.env["REDIS_PREFIX"])
    before = channel_layers.set("default", layer)

    async def _run(*args):
        printed = io.StringIO()
        await asyncio.to_thread(call_command, "realtime", *args, stdout=printed, no_color=True)
        return printed.getvalue()

    yield _run
    channel_layers.backends = {} if before is None else {"default": before}


@pytest.fixture
async def people(site, neighbour, open_client, sign, run):
    """Alice twice, once on each server, and bob on the second; all listed in the lobby."""
    opened = []
    for user, at in (("alice", site), ("alice", neighbour), ("bob", neighbour)):
        sid = uuid.uuid4().hex
        client = await open_client(sign(user, sid=sid), url=at.ws_url)
        client.sid = sid
        await client.call(subscribe={"channel": "lobby"})
        opened.append(client)
    async with asyncio.timeout(60):
        while True:
            listed = json.loads(await run("status", "--room", "lobby", "--json"))
            if {client.reply["connect"]["client"] for client in opened} == {
                connection["client"] for connection in listed["connections"]
            }:
                return opened
            await asyncio.sleep(0.05)


async def test_status_tells_who_is_connected_in_all_processes(people, run, site, neighbour):
    clients = {client.reply["connect"]["client"] for client in people}
    listed = json.loads(await run("status", "--json"))
    assert {connection["client"] for connection in listed["connections"]} == clients
    assert {
        (process["server"], process["pid"], process["connections"])
        for process in listed["processes"]
    } == {
        ("daphne", site.process.popen.pid, 1),
        ("uvicorn", neighbour.process.popen.pid, 2),
    }
    printed = (await run("status")).splitlines()
    assert printed[0].split() == ["process", "host", "pid", "server", "connections", "since"]
    assert printed[3] == "2 processes, 3 connections of 2 users."
    assert {line.split()[-1] for line in printed[6::2]} == clients
    assert [line.strip() for line in printed[7::2]] == [
        f"{user}, 127.0.0.1; in lobby" for user in ("bob", "alice", "alice")
    ]
    assert max(map(len, printed)) <= 80
    assert (await run("status", "--room", "staff")).splitlines() == printed[:4]


async def test_disconnect_closes_one_connection_or_one_sign_in(people, run):
    first, second, bob = people
    printed = await run("disconnect", "--client", first.reply["connect"]["client"])
    assert printed.strip() == "1 connection found, 0 left."
    assert await first.closed() == 3503
    printed = await run("disconnect", "--session", "no-such")
    assert printed.strip() == "No such connection is open."
    printed = await run("disconnect", "--session", second.sid, "--reason", "back at 9" * 20)
    assert printed.strip() == "1 connection found, 0 left."
    assert await second.closed() == 3503
    assert second.connection.close_reason.startswith("back at 9")
    assert await bob.call(ping={})


async def test_the_shell_disconnects_a_user_and_explains_who_may_enter(
    people, site, open_client, sign
):
    def manage(*args):
        return asyncio.to_thread(site.manage, "realtime", *args)

    disconnected, *explained = await asyncio.gather(
        manage("disconnect", "--user", "alice"),
        manage("explain", "alice", "staff"),
        manage("explain", "carol", "staff"),
    )
    assert disconnected.strip() == "2 connections found, 0 left."
    assert [await client.closed() for client in people[:2]] == [3503, 3503]
    assert await people[2].call(ping={})
    for user, printed in zip(("alice", "carol"), explained, strict=True):
        reply = await (await open_client(sign(user))).call(subscribe={"channel": "staff"})
        outcome = "may not join" if "error" in reply else "may join"
        assert printed.splitlines()[-1].startswith(f"{user} {outcome} staff: ")

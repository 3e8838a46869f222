"""Two processes on hosts whose clocks are half a minute ahead and half a minute behind."""

import asyncio
import json
import urllib.request
from pathlib import Path

import pytest

PREPARE = """
from django.contrib.auth.models import User
from realtime.models import Membership, Room
room = Room.objects.create(name="private")
Membership.objects.create(room=room, user=User.objects.get(username="bob"))
"""


@pytest.fixture(scope="module")
def hosts(start_site):
    """`ahead, behind`: the clock of the day is another one for each, that of intervals is not."""
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")

    def clock(offset):
        return {"LD_PRELOAD": str(library), "FAKETIME": offset, "DONT_FAKE_MONOTONIC": "1"}

    settings = {"DJANGO_SETTINGS_MODULE": "tests.settings.skewed"}
    ahead = start_site("uvicorn-fast", redis=True, **settings, **clock("+30s"))
    behind = start_site("uvicorn-fast", beside=ahead, **clock("-30s"))
    ahead.shell(PREPARE)
    return ahead, behind


@pytest.fixture
def site(hosts):
    return hosts[0]


def post(url, token, **data):
    request = urllib.request.Request(
        url,
        json.dumps(data).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"{}")


async def logged(site, words):
    async with asyncio.timeout(20):
        while words not in site.process.log.read_text():
            await asyncio.sleep(0.05)


async def test_hosts_half_a_minute_apart_agree(hosts, open_client):
    ahead, behind = hosts
    # Each token is valid on both.
    one = await open_client(await asyncio.to_thread(ahead.token, "alice"), url=behind.ws_url)
    two = await open_client(await asyncio.to_thread(behind.token, "bob"), url=ahead.ws_url)
    since = (await one.call(subscribe={"channel": "lobby"}))["subscribe"]
    await two.call(subscribe={"channel": "lobby"})

    # Messages and their order are those of Redis.
    for publisher, number in ((one, 1), (two, 2)):
        await publisher.call(publish={"channel": "lobby", "data": number})
    assert [(await one.publication())["data"] for _ in range(2)] == [1, 2]
    present = (await two.call(presence={"channel": "lobby"}))["presence"]["presence"]
    assert len(present) == 2

    # Both say by how much their clock differs, and from which.
    await logged(ahead, "30 s ahead of that of Redis")
    await logged(behind, "30 s behind that of Redis")

    # A ticket of the host behind, which lives for 30 s, is valid on the one ahead.
    token = await asyncio.to_thread(behind.token, "alice")
    ticket = await asyncio.to_thread(post, f"{behind.url}/realtime/ticket/", token)
    back = await open_client(url=f"{ahead.ws_url}?ticket={ticket['ticket']}")
    recovered = await back.call(
        subscribe={
            "channel": "lobby",
            "recover": True,
            "epoch": since["epoch"],
            "offset": since["offset"],
        }
    )
    assert [each["data"] for each in recovered["subscribe"]["publications"]] == [1, 2]


LOSE_AND_REGAIN = """
from django.contrib.auth.models import User
from realtime import publish
from realtime.models import Membership, Room
room, bob = Room.objects.get(name="private"), User.objects.get(username="bob")
Membership.objects.filter(room=room, user=bob).delete()
publish("private", 1)
Membership.objects.create(room=room, user=bob)
"""


async def test_what_came_while_a_right_was_lost_is_not_replayed(hosts, open_client):
    """When a right changed and when a message came is told by one clock, that of Redis."""
    ahead, behind = hosts
    token = await asyncio.to_thread(ahead.token, "bob")
    since = (await (await open_client(token)).call(subscribe={"channel": "private"}))["subscribe"]
    await asyncio.to_thread(behind.shell, LOSE_AND_REGAIN)
    place = {"epoch": since["epoch"], "offset": since["offset"]}
    for host in hosts:
        back = await open_client(token, url=host.ws_url)
        reply = await back.call(subscribe={"channel": "private", "recover": True, **place})
        assert reply["subscribe"]["recovered"] is False
        assert "publications" not in reply["subscribe"]

"""Hostile clients of real servers: what they cost, and that nobody else notices."""

import asyncio
import contextlib
import json
import os
import urllib.request
from pathlib import Path

import pytest
import websockets

from config.management.commands.demo import PASSWORD
from tests.support.marks import own_site

MIB = 2**20
FRAME_MAX = OUTBOX_MAX = MIB
CONNECTIONS = 40
SECONDS = 60
CAROL = {"username": "carol", "password": PASSWORD}
USERS = ["rooms", "absent", "too-large", "unfinished", "bytes", "fragments"]


@pytest.fixture(scope="module", params=["daphne", "uvicorn-fast"])
def site(request, start_site):
    """One site with the limits that the package has by default, and users who may use them up."""
    started = start_site(request.param, DJANGO_SETTINGS_MODULE="tests.settings.hostile")
    started.shell(
        "from django.contrib.auth.models import User; "
        f"[User.objects.create_user(name) for name in {USERS}]"
    )
    return started


@pytest.fixture(scope="module", params=["daphne", "uvicorn-fast"])
def unlimited(request, start_site):
    """One site on which users may send as much as they like."""
    return start_site(request.param)


def loop_seconds(site):
    """CPU time of the thread with the event loop."""
    return int(Path(f"/proc/{site.process.popen.pid}/schedstat").read_text().split()[0]) / 1e9


def memory(site):
    pages = int(Path(f"/proc/{site.process.popen.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def settled(client):
    """Wait until the server has done what it was sent before: it answers somebody else."""
    for _ in range(3):
        assert "ping" in await client.call(ping={})


@pytest.fixture
async def bystander(site, open_client, sign):
    """A member of the lobby who is there before and speaks to a second one during an attack, a
    third one who signs out then, and a fourth one who comes after it."""
    speaker = await open_client(sign("bob"))
    listener = await open_client(sign("carol"))
    signed_in = await asyncio.to_thread(post, site, "/api/token/", CAROL)
    leaver = await open_client(signed_in["access"])
    for client in (speaker, listener):
        assert "subscribe" in await client.call(subscribe={"channel": "lobby"})
    yield speaker
    assert "publish" in await speaker.call(publish={"channel": "lobby", "data": "still here"})
    assert (await listener.publication())["data"] == "still here"
    await asyncio.to_thread(post, site, "/api/logout/", {"refresh": signed_in["refresh"]})
    assert await leaver.closed() == 3500
    late = await open_client(sign("bob"))
    assert "subscribe" in await late.call(subscribe={"channel": "lobby"})


def post(site, path, data):
    request = urllib.request.Request(
        site.url + path, json.dumps(data).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.loads(answer.read() or b"{}")


async def say(client, *frames):
    """Send frames, and wait for the close if there is one."""
    with contextlib.suppress(websockets.ConnectionClosed):
        for frame in frames:
            await client.connection.send(frame)


async def cost(site, bystander, clients, frame):
    """CPU time of a frame from each of some clients."""
    await settled(bystander)
    before = loop_seconds(site)
    for client in clients:
        await say(client, frame)
        await settled(bystander)
    return loop_seconds(site) - before


_pings = {}


async def cost_of_pings(site, client):
    """CPU time of 200 commands, which is less than a user may send at once."""
    if site.port not in _pings:
        before = loop_seconds(site)
        for _ in range(200):
            await client.call(ping={})
        _pings[site.port] = loop_seconds(site) - before
    return _pings[site.port]


NOTHING = {"pongs": "{}\n", "unknown commands": '{"id":1,"unknown":{}}\n', "newlines": "\n"}


@pytest.mark.parametrize("who", ["a user", "a stranger"])
@pytest.mark.parametrize("line", NOTHING.values(), ids=NOTHING)
async def test_a_frame_full_of_commands_costs_as_much_as_one_with_one(
    site, open_client, sign, bystander, line, who
):
    async def client():
        opened = await open_client(connect=False)
        if who == "a user":
            assert "connect" in await opened.call(connect={"token": sign("alice")})
        return opened

    one = json.dumps({"id": 1, "connect": {"name": "x" * (MIB - 100)}})
    many = line * ((MIB - 100) // len(line))
    for_one = await cost(site, bystander, [await client() for _ in range(5)], one)
    attackers = [await client() for _ in range(5)]
    for_many = await cost(site, bystander, attackers, many)
    assert for_many < 2 * for_one + 20 * await cost_of_pings(site, bystander)
    assert [await attacker.closed() for attacker in attackers] == [3501] * 5


@pytest.mark.parametrize("size", [50, 400])
async def test_commands_in_many_frames_end_with_the_allowance(
    site, open_client, sign, bystander, size
):
    client = await open_client(sign("alice", sid=str(size)))
    frame = "\n".join(['{"id":7,"rpc":{"method":"absent"}}'] * size)
    await say(client, *[frame] * (4_000 // size))
    assert await client.closed() == 3013


@pytest.mark.parametrize("site", ["uvicorn-fast"], indirect=True)
async def test_pings_of_websocket_are_commands_too(site, open_client, sign, bystander):
    """Daphne's library answers them by itself."""
    client = await open_client(sign("alice"))
    with contextlib.suppress(websockets.ConnectionClosed):
        for _ in range(5_000):
            await client.connection.ping()
    assert await client.closed() in (3013, 1006)


async def test_fragments_are_commands_too(site, open_client, sign, bystander):
    client = await open_client(sign("fragments"))
    # A message that does not end, in fragments without content.
    await write(client, b"\x01\x80\0\0\0\0" + b"\0\x80\0\0\0\0" * 5_000)
    assert await client.closed() in (3013, 1006)


async def test_a_connect_with_ten_thousands_of_rooms_is_answered_with_the_first(
    site, open_client, sign, bystander
):
    client = await open_client(connect=False)
    names = ["lobby", *(f"absent-{number}" for number in range(50_000))]
    token = sign("rooms")
    before = loop_seconds(site)
    subs = {name: {} for name in names}
    reply = await client.call(connect={"token": token, "subs": subs})
    assert list(reply["connect"]["subs"]) == ["lobby"]
    await settled(bystander)
    many = loop_seconds(site) - before
    assert many < 50 * await cost_of_pings(site, bystander)


async def test_rooms_that_do_not_exist_are_soon_not_looked_up(site, open_client, sign, bystander):
    client = await open_client(sign("absent"))
    codes = []
    for number in range(60):
        reply = await client.call(subscribe={"channel": f"absent-{number}"})
        codes.append(reply["error"]["code"])
    assert set(codes) == {103, 111}
    assert codes.count(103) <= 35  # 25 of the burst, and five a second


def begun_frame(announced):
    """The head of a masked text frame."""
    return b"\x81\xff" + announced.to_bytes(8, "big") + b"\0\0\0\0"


async def write(client, data):
    """Write bytes that are no frame of the library."""
    transport = client.connection.transport
    for begin in range(0, len(data), 65_536):
        if transport.is_closing():
            return
        transport.write(data[begin : begin + 65_536])
        async with asyncio.timeout(SECONDS):
            while transport.get_write_buffer_size() > 65_536 and not transport.is_closing():
                await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("user", "announced"), [("too-large", 16 * MIB), ("unfinished", FRAME_MAX - 1)]
)
async def test_the_memory_of_frames_that_do_not_end_is_bounded(
    site, open_client, sign, bystander, user, announced
):
    token = sign(user)
    clients = [await open_client(token) for _ in range(CONNECTIONS)]
    await settled(bystander)
    before = memory(site)
    data = begun_frame(announced) + b"x" * min(3 * MIB, announced - 1)
    for client in clients:
        await write(client, data)
    await settled(bystander)
    assert memory(site) - before < CONNECTIONS * (FRAME_MAX + OUTBOX_MAX)
    if announced > FRAME_MAX:
        assert {await client.closed() for client in clients} <= {1009, 1006}
    for client in clients:
        client.connection.transport.abort()


@own_site
async def test_a_client_that_answers_pings_and_reads_nothing_is_cut(unlimited, open_client):
    site = unlimited
    speaker = await open_client(site.token("bob"), url=site.ws_url)
    deaf = await open_client(site.token("alice"), url=site.ws_url, max_queue=1, ping_interval=None)
    assert "subscribe" in await deaf.call(subscribe={"channel": "lobby"})
    before = memory(site)
    for _ in range(300):
        await speaker.call(publish={"channel": "lobby", "data": "x" * 60_000})
        await say(deaf, "{}", "{}")
    assert memory(site) - before < 12 * MIB  # of 17 MiB; the history has 6
    assert await deaf.closed() in (3008, 1006)


async def test_one_member_can_not_have_the_others_cut(site, open_client, sign):
    """400 messages of 65 KB at once are 26 MB, for readers who get to it a moment later."""
    hostile = await open_client(sign("bytes"), max_size=None)
    readers = [
        await open_client(sign("carol", sid="bytes"), max_queue=1, ping_interval=None)
        for _ in range(10)
    ]
    for client in readers:
        assert "subscribe" in await client.call(subscribe={"channel": "lobby"})
    lines = [
        json.dumps({"id": 1_000 + n, "publish": {"channel": "lobby", "data": "x" * 65_000}})
        for n in range(400)
    ]
    await say(hostile, *lines)
    kept = {await outcome(hostile) for _ in lines}
    assert True in kept and False in kept
    await hostile.connection.close()
    last = await open_client(sign("bob", sid="bytes"))
    assert "publish" in await last.call(publish={"channel": "lobby", "data": "the last one"})
    async with asyncio.timeout(SECONDS):
        for reader in readers:
            while (await reading(reader))["data"] != "the last one":
                pass


async def outcome(client):
    """Whether a publication was kept; else it was refused with 111."""
    reply = await client.until(lambda frame: frame.get("id", 0) >= 1_000)
    assert "publish" in reply or reply["error"]["code"] == 111, reply
    return "publish" in reply


async def reading(client):
    """The next publication."""
    while True:
        frame = await client.until(lambda frame: True)
        if "pub" in frame.get("push", {}):
            return frame["push"]["pub"]

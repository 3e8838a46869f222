"""Server-sent events on each server."""

import asyncio
import contextlib
import socket

import aiohttp
import pytest

from tests.support.event_streams import PATH, SECONDS, EventStream, publish_over_http


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def site(request, shared_site):
    return shared_site(request.param)


@pytest.fixture
async def http():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(SECONDS)) as http:
        yield http


@pytest.fixture
async def open_stream(site, http):
    """`await open_stream("lobby", ..., token=..., headers=...)`."""
    opened = []

    async def _open(*rooms, token=None, query=(), **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        params = [*(("room", room) for room in rooms), *query]
        opened.append(await http.get(site.url + PATH, params=params, headers=headers))
        return EventStream(opened[-1])

    yield _open
    for response in opened:
        response.close()


@pytest.fixture
def publish(sign):
    async def _publish(site, room, *values):
        await publish_over_http(site.url, sign("bob"), room, *values)

    return _publish


async def test_a_stream_goes_on_where_it_was(site, open_stream, publish, sign):
    rooms = ("lobby", "staff", "_nothing")
    stream = await open_stream(*rooms, token=sign("bob"))
    assert stream.status == 200
    assert "Content-Length" not in stream.response.headers
    joined = [await stream.next() for _ in range(3)]
    assert [event["type"] for event in joined] == ["joined", "joined", "refused"]
    await publish(site, "lobby", {"text": "hi"})
    message = await stream.next()
    assert (message["name"], message["data"]) == ("bob", {"text": "hi"})
    stream.response.close()
    await publish(site, "lobby", 1)
    await publish(site, "staff", 2)
    again = await open_stream(*rooms, token=sign("bob"), Last_Event_ID=stream.last_id)
    events = [await again.next() for _ in range(4)]
    assert [event.get("data", event.get("recovered")) for event in events] == [True, 1, True, 2]


async def test_a_refusal_is_a_status(site, http, open_stream, sign):
    ticket = "a-ticket-that-nobody-has-issued"
    refused = [
        (await open_stream("lobby"), 401),
        (await open_stream("lobby", token="x.y.z"), 401),
        (await open_stream("staff", token=sign("carol")), 403),
        (await open_stream(token=sign("alice")), 400),
        (await open_stream("lobby", query=[("ticket", ticket)]), 401),
        (await open_stream("lobby", token=sign("alice"), Origin="https://evil.example"), 403),
    ]
    for stream, status in refused:
        assert stream.status == status
        assert (await stream.response.json())["detail"]
    async with http.post(site.url + PATH) as response:
        assert response.status == 405
    # The connection goes on: a response like any other.
    async with http.get(site.url + "/realtime/rooms/") as response:
        assert response.status == 401


@pytest.fixture
def newcomer(site):
    """The name and the token of a user who is a member of a room of her own."""
    name = f"sse-{site.process.popen.pid}"
    from config.management.commands.demo import PASSWORD

    site.shell(
        "from django.contrib.auth.models import User; from realtime.models import *; "
        f"user = User.objects.create_user('{name}', password='{PASSWORD}'); "
        f"room = Room.objects.create(name='{name}'); "
        "Membership.objects.create(room=room, user=user)"
    )
    return name, site.token(name)


async def test_a_client_is_present_until_it_leaves_or_loses_its_right(
    site, open_stream, newcomer, http
):
    name, token = newcomer
    url = f"{site.url}/realtime/rooms/{name}/presence/"
    headers = {"Authorization": f"Bearer {token}"}

    async def until_present(count):
        async with asyncio.timeout(SECONDS):
            while True:
                async with http.get(url, headers=headers) as response:
                    if (await response.json())["clients"] == count:
                        return
                await asyncio.sleep(0.05)

    leaving, staying = [await open_stream(name, token=token) for _ in range(2)]
    await until_present(2)
    leaving.response.close()
    await until_present(1)
    change = (
        "from realtime.models import Membership; "
        f"Membership.objects.get(user__username='{name}').delete()"
    )
    await asyncio.to_thread(site.shell, change)
    events = await staying.rest()
    assert [event["type"] for event in events] == ["joined", "unsubscribed", "closed"]
    assert events[-1]["reconnect"] is False


async def test_a_reader_that_stops_is_cut_and_costs_the_others_nothing(
    site, open_stream, open_client, sign
):
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    slow.settimeout(SECONDS)
    await asyncio.to_thread(slow.connect, ("127.0.0.1", site.port))
    lines = [
        f"GET {PATH}?room=lobby HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {sign('alice')}",
    ]
    await asyncio.to_thread(slow.sendall, "\r\n".join([*lines, "", ""]).encode())
    assert b" 200 OK" in await asyncio.to_thread(slow.recv, 100)
    other = await open_stream("lobby", token=sign("alice"))
    publisher = await open_client(sign("bob"))
    await other.until(type="joined")
    for _ in range(150):
        reply = await publisher.call(publish={"channel": "lobby", "data": "x" * 60_000})
        assert "publish" in reply
        assert len((await other.next())["data"]) == 60_000

    def until_the_end():
        """What comes until the response ends, or the connection is cut."""
        read = b""
        with contextlib.suppress(ConnectionResetError):
            while not read.endswith(b"0\r\n\r\n") and (data := slow.recv(1_000_000)):
                read += data
        return read

    read = await asyncio.to_thread(until_the_end)
    assert len(read) < 150 * 60_000
    assert b'"code":3008' in read or not read.endswith(b"0\r\n\r\n")
    slow.close()

"""Server-sent events on each server."""

import asyncio

import aiohttp
import pytest

from tests.support.event_streams import SECONDS, EventStream


@pytest.fixture
async def open_stream(site):
    """`await open_stream("lobby", ..., token=..., headers=...)`."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(SECONDS)) as http:
        opened = []

        async def _open(*rooms, token=None, headers=(), query=(), url=None):
            headers = dict(headers)
            if token:
                headers["Authorization"] = f"Bearer {token}"
            params = [("room", room) for room in rooms] + list(query)
            response = await http.get(
                (url or site.url) + "/realtime/sse/", params=params, headers=headers
            )
            opened.append(response)
            return EventStream(response)

        yield _open
        for response in opened:
            response.close()


@pytest.fixture
def publish(site):
    async def _publish(room, *values, user="bob"):
        token = await asyncio.to_thread(site.token, user)
        async with (
            asyncio.timeout(SECONDS),
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http,
        ):
            for value in values:
                url = f"{site.url}/realtime/rooms/{room}/publish/"
                async with http.post(url, json={"data": value}) as response:
                    assert response.status < 300, await response.text()

    return _publish


async def test_a_stream_gets_what_its_rooms_get(open_stream, publish, sign):
    stream = await open_stream("lobby", "staff", "_nothing", token=sign("bob"))
    assert stream.status == 200
    assert "Content-Length" not in stream.response.headers
    assert (await stream.next())["room"] == "lobby"
    assert (await stream.next())["room"] == "staff"
    assert (await stream.next())["type"] == "refused"
    await publish("lobby", {"text": "hi"})
    message = await stream.next()
    assert (message["name"], message["data"]) == ("bob", {"text": "hi"})
    stream.response.close()
    await publish("lobby", 1)
    await publish("staff", 2)
    again = await open_stream(
        *("lobby", "staff", "_nothing"),
        token=sign("bob"),
        headers={"Last-Event-ID": stream.last_id},
    )
    events = [await again.next() for _ in range(4)]
    assert [event.get("data", event.get("recovered")) for event in events] == [True, 1, True, 2]

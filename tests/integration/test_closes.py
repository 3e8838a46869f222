"""Closes that begin in a callback, with no task around them, reach the client on every server."""

import asyncio
import json

import pytest
import websockets

SECONDS = 60
SERVERS = ["daphne", "uvicorn-legacy", "uvicorn-wsproto", "uvicorn", "uvicorn-fast"]


@pytest.fixture(scope="module", params=SERVERS)
def site(request, start_site):
    return start_site(request.param, redis=True, DJANGO_SETTINGS_MODULE="tests.settings.closes")


async def closed_while_answering_pings(client):
    """The code of the close that a client gets which does all that it should."""
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                for line in (await client.connection.recv()).split("\n"):
                    if json.loads(line) == {}:
                        await client.connection.send("{}")
    except websockets.ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


async def disconnected_by_the_site(site, open_client, sign):
    client = await open_client(sign("carol"))
    closing = asyncio.create_task(closed_while_answering_pings(client))
    await asyncio.to_thread(site.manage, "realtime", "disconnect", "--user", "carol")
    return await closing


async def with_a_token_that_ends(site, open_client, sign):
    client = await open_client(sign("bob", lifetime=6))
    return await closed_while_answering_pings(client)


async def without_a_connect(site, open_client, sign):
    client = await open_client(connect=False)
    return await client.closed()


async def without_a_pong(site, open_client, sign):
    client = await open_client(sign("alice"))
    return await client.closed()


async def without_reading(site, open_client, sign):
    client = await open_client(sign("alice"))
    publisher = await open_client(sign("bob"))
    await client.call(subscribe={"channel": "lobby"})
    for _ in range(3):
        await publisher.call(publish={"channel": "lobby", "data": "x" * 50_000})
    # It reads the frames from the network, and never acknowledges them.
    return await client.closed()


CLOSES = {
    disconnected_by_the_site: 3503,
    with_a_token_that_ends: 3005,
    without_a_connect: 3502,
    without_a_pong: 3012,
    without_reading: 3008,
}


async def test_each_close_reaches_the_client(site, open_client, sign):
    # At the same time, because most take some seconds.
    async with asyncio.timeout(SECONDS):
        codes = await asyncio.gather(*(end(site, open_client, sign) for end in CLOSES))
    assert codes == list(CLOSES.values())

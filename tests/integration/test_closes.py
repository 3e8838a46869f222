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


async def test_a_user_who_is_disconnected_gets_3503(site, open_client, sign):
    client = await open_client(sign("carol"))
    closing = asyncio.create_task(closed_while_answering_pings(client))
    await asyncio.to_thread(site.manage, "realtime", "disconnect", "--user", "carol")
    assert await closing == 3503


async def test_a_token_that_ends_is_3005(open_client, sign):
    client = await open_client(sign("bob", lifetime=3))
    assert await closed_while_answering_pings(client) == 3005


async def test_a_missing_connect_is_3502(open_client):
    client = await open_client(connect=False)
    assert await client.closed() == 3502


async def test_a_missing_pong_is_3012(open_client, sign):
    client = await open_client(sign("alice"))
    assert await client.closed() == 3012


async def test_a_client_that_does_not_read_gets_3008(open_client, sign):
    client = await open_client(sign("alice"))
    publisher = await open_client(sign("bob"))
    await client.call(subscribe={"channel": "lobby"})
    for _ in range(3):
        await publisher.call(publish={"channel": "lobby", "data": "x" * 50_000})
    # It reads the frames from the network, and never acknowledges them.
    assert await client.closed() == 3008

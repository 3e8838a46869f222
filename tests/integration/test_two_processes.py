"""Two processes on one Redis carry one conversation; every server serves the same site."""

import asyncio
import urllib.request

import pytest


@pytest.fixture(scope="module")
def neighbours(shared_site, start_site):
    """A Daphne and a uvicorn of one site."""
    daphne = shared_site("daphne")
    return daphne, start_site("uvicorn", beside=daphne)


@pytest.fixture(scope="module")
def site(neighbours):
    """The site whose users `sign` uses."""
    return neighbours[0]


@pytest.fixture(scope="module")
def runserver(start_site):
    return start_site("runserver")


async def test_they_carry_one_conversation(neighbours, open_client, sign):
    clients = []
    for site, user in zip(neighbours, ("alice", "bob"), strict=True):
        client = await open_client(sign(user), url=site.ws_url)
        reply = await client.call(subscribe={"channel": "lobby"})
        clients.append(client)
    first = reply["subscribe"]["offset"] + 1
    for number in range(20):
        await clients[number % 2].call(publish={"channel": "lobby", "data": number})
    async with asyncio.timeout(60):
        for client in clients:
            heard = [await client.publication() for _ in range(20)]
            assert [publication["data"] for publication in heard] == list(range(20))
            assert [publication["offset"] for publication in heard] == list(
                range(first, first + 20)
            )


async def test_the_shell_speaks_to_both(neighbours, open_client, sign):
    clients = [
        await open_client(sign(user), url=site.ws_url)
        for site, user in zip(neighbours, ("alice", "bob"), strict=True)
    ]
    for client in clients:
        await client.call(subscribe={"channel": "lobby"})
    printed = await asyncio.to_thread(
        neighbours[0].manage, "realtime", "publish", "lobby", '{"text": "from the shell"}'
    )
    assert "Published to lobby." in printed
    async with asyncio.timeout(60):
        for client in clients:
            publication = await client.publication()
            assert publication["data"] == {"text": "from the shell"}
            assert "info" not in publication


async def test_runserver_serves_the_same_site_without_redis(runserver, open_client, sign):
    client = await open_client(sign("alice"), url=runserver.ws_url)
    await client.call(subscribe={"channel": "lobby"})
    await client.call(publish={"channel": "lobby", "data": 1})
    assert (await client.publication())["data"] == 1


def test_every_server_serves_the_pages_and_their_files(neighbours, runserver):
    static = ["/static/realtime/client.js", "/static/realtime/playground/playground.css"]
    for site in (*neighbours, runserver):
        for path in ("/", *static, "/admin/login/"):
            with urllib.request.urlopen(site.url + path) as response:
                assert response.status == 200

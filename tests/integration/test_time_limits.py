"""What a client has to do in time, on servers that give it a second for everything."""

import asyncio
import contextlib
import re
import ssl

import pytest

from tests.support.certificates import certificate as certificate
from tests.support.marks import own_site
from tests.support.processes import free_port

SECONDS = 45
"""Less than Daphne itself waits for a line."""


@pytest.fixture(scope="module")
def uvicorn_site(start_site):
    return start_site("uvicorn", DJANGO_SETTINGS_MODULE="tests.settings.impatient")


@pytest.fixture(scope="module")
def tls_port():
    return free_port()


@pytest.fixture(scope="module")
def daphne_site(start_site, certificate, tls_port):
    """It also listens on `tls_port`."""
    key, cert = certificate
    endpoint = f"ssl:{tls_port}:privateKey={key}:certKey={cert}:interface=127.0.0.1"
    return start_site(
        "daphne", options=["-e", endpoint], DJANGO_SETTINGS_MODULE="tests.settings.impatient"
    )


@own_site
async def test_the_server_pings_and_cuts_who_does_not_answer(uvicorn_site, open_client, sign):
    client = await open_client(sign("alice"), url=uvicorn_site.ws_url)
    assert client.reply["connect"]["ping"] == 1
    async with asyncio.timeout(60):
        assert await client.until(lambda frame: frame == {}) == {}
        # It is answered there; the last one is not.
        assert await client.until(lambda frame: frame == {}) == {}
        assert await client.closed() == 3012


@own_site
async def test_a_client_that_does_not_connect_in_time_is_closed_with_3502(
    daphne_site, uvicorn_site, open_client
):
    for site in (daphne_site, uvicorn_site):
        client = await open_client(url=site.ws_url, connect=False)
        async with asyncio.timeout(60):
            assert await client.closed() == 3502


async def read_to_the_end(reader):
    """Return what a server sends until it ends the connection, by a reset or not."""
    received = b""
    with contextlib.suppress(ConnectionResetError, ssl.SSLError):
        async with asyncio.timeout(SECONDS):
            while part := await reader.read(65_536):
                received += part
    return received


async def answer_to(part, port, **options):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    writer.write(part)
    answer = await read_to_the_end(reader)
    writer.close()
    return answer


PARTS = [b"", b"GET /ws/ HT", b"GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"]


async def test_a_request_that_does_not_end_is_closed_without_an_option(daphne_site, uvicorn_site):
    """uvicorn itself waits for ever, Daphne for a minute."""
    ports = [daphne_site.port, uvicorn_site.port]
    answers = await asyncio.gather(*[answer_to(part, port) for port in ports for part in PARTS])
    assert set(answers) == {b""}


@pytest.mark.usefixtures("daphne_site")
async def test_a_request_over_tls_that_does_not_end_is_closed(certificate, tls_port):
    tls = ssl.create_default_context(cafile=certificate[1])
    answers = await asyncio.gather(
        answer_to(b"", tls_port), answer_to(b"GET / HT", tls_port, ssl=tls)
    )
    assert answers == [b"", b""]


@own_site
async def test_over_tls_daphnes_own_way_holds(
    daphne_site, certificate, tls_port, open_client, sign
):
    """The connection is not taken over, and all is as elsewhere."""
    tls = ssl.create_default_context(cafile=certificate[1])
    url = f"wss://127.0.0.1:{tls_port}/ws/"
    alice = await open_client(sign("alice"), url=url, ssl=tls)
    bob = await open_client(sign("bob"), url=daphne_site.ws_url)
    for client in (alice, bob):
        assert "subscribe" in await client.call(subscribe={"channel": "lobby"})
    large = "x" * 50_000
    for sender, data in ((alice, large), (bob, "b")):
        assert "publish" in await sender.call(publish={"channel": "lobby", "data": data})
        for client in (alice, bob):
            assert (await client.publication())["data"] == data
    stranger = await open_client(url=url, ssl=tls, connect=False)
    await stranger.send(connect={"token": "a.b.c"})
    assert await stranger.closed() == 3500


async def test_headers_that_come_one_by_one_give_no_more_time(daphne_site):
    reader, writer = await asyncio.open_connection("127.0.0.1", daphne_site.port)
    end = asyncio.create_task(read_to_the_end(reader))
    writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    for number in range(200):
        writer.write(b"X-%d: 1\r\n" % number)
        if (await asyncio.wait([end], timeout=0.2))[0]:
            break
    assert end.done(), "it waits for the next line"
    writer.close()


async def test_bodies_and_the_time_between_two_requests_are_not_limited(daphne_site):
    reader, writer = await asyncio.open_connection("127.0.0.1", daphne_site.port)
    head = b"POST /realtime/ticket/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n"
    for first, rest in ((b"{", b"}"), (b"{}", b"")):
        writer.write(head + first)
        if rest:
            await answer_to(b"GET / HT", daphne_site.port)  # it began later, and is over
            writer.write(rest)
        async with asyncio.timeout(SECONDS):
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 401 ")
            await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", answer)[1]))
        await answer_to(b"", daphne_site.port)
    writer.close()

"""Pages of other origins, in a browser: no socket opens, and refusals have their code."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.marks import own_site

CONNECT = """([url, protocols]) => new Promise((resolve) => {
    const seen = [];
    const socket = new WebSocket(url, protocols);
    socket.onopen = () => seen.push("open");
    socket.onclose = (event) => resolve([...seen, event.code]);
})"""


@pytest.fixture
async def other_origin():
    """A page of another origin: another port of the same host."""

    async def serve(reader, writer):
        await reader.readline()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<p>other</p>"
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()


async def test_a_page_of_another_origin_never_opens_a_socket(site, sign, open_page, other_origin):
    page = await open_page(other_origin)
    protocols = ["realtime.v1", f"bearer.{sign('alice')}"]
    assert await page.evaluate(CONNECT, [site.ws_url, protocols]) == [1006]


@own_site
async def test_a_cookie_does_not_help_a_page_of_another_origin(
    start_site, sign, open_page, other_origin
):
    site = start_site("uvicorn", DJANGO_SETTINGS_MODULE="tests.settings.cookie")
    own = await open_page(site.url)
    name, value = "access_token", sign("alice")
    await own.context.add_cookies([{"name": name, "value": value, "url": site.url}])
    protocol = ["realtime.v1"]
    plain = site.ws_url + "rooms/absent/"
    # 3507: authenticated by the cookie, and told that there is no such room.
    assert await own.evaluate(CONNECT, [plain, protocol]) == ["open", 3507]
    await own.goto(other_origin)
    assert await own.evaluate(CONNECT, [plain, protocol]) == [1006]


async def test_refusals_reach_a_browser_with_their_code(site, open_page):
    page = await open_page(site.url)
    for path, protocols, code in (
        ("", ["realtime.v1", "bearer.x.y.z"], 3500),
        ("", ["bearer.x.y.z"], 1006),
        ("?ticket=unknown", ["realtime.v1"], 3500),
        ("?token=x", ["realtime.v1"], 3500),
        ("rooms/lobby/", ["realtime.v1"], 3500),
    ):
        seen = await page.evaluate(CONNECT, [site.ws_url + path, protocols])
        assert seen[-1] == code, (path, protocols)

"""Sites behind proxies, with TLS and below a path: sockets open where Django's views answer."""

import asyncio
import functools
import ssl
import urllib.error
import urllib.request

import pytest
from playwright.async_api import expect

from tests.support.browsers import enter, fill_in, messages, say, sockets
from tests.support.certificates import certificate as certificate
from tests.support.handshakes import raw_handshake
from tests.support.processes import free_port

SERVERS = ["daphne", "uvicorn", "uvicorn-fast"]


async def statuses(port, *origins, headers=(), **options):
    """The status of a handshake from each origin."""
    return [
        await raw_handshake(port, "/ws/", f"Origin: {origin}", *headers, **options)
        for origin in origins
    ]


async def test_daphne_with_tls_serves_pages_of_https(start_site, certificate):
    key, cert = certificate
    port = free_port()
    endpoint = f"ssl:{port}:privateKey={key}:certKey={cert}:interface=127.0.0.1"
    site = start_site("daphne", options=["-e", endpoint])
    tls = ssl.create_default_context(cafile=cert)
    own = [f"https://127.0.0.1:{port}", f"wss://127.0.0.1:{port}"]
    assert await statuses(port, *own, tls=tls) == [101, 101]
    others = [f"http://127.0.0.1:{port}", f"https://127.0.0.1:{site.port}"]
    assert await statuses(port, *others, tls=tls) == [403, 403]
    plain = [f"http://127.0.0.1:{site.port}", f"https://127.0.0.1:{site.port}"]
    assert await statuses(site.port, *plain) == [101, 403]


@pytest.mark.parametrize(
    ("server", "options"),
    [("daphne", ["--proxy-headers"]), ("uvicorn", ["--proxy-headers"]), ("uvicorn-fast", [])],
)
async def test_servers_that_trust_a_proxy_know_the_scheme(start_site, server, options):
    site = start_site(server, options=options)
    own = f"https://127.0.0.1:{site.port}", f"http://127.0.0.1:{site.port}"
    for sent in ("https", "wss"):
        forwarded = ["X-Forwarded-For: 203.0.113.7", f"X-Forwarded-Proto: {sent}"]
        assert await statuses(site.port, *own, headers=forwarded) == [101, 403]
    assert await statuses(site.port, *own) == [403, 101]


@pytest.fixture(scope="module", params=SERVERS)
def proxied_site(request, start_site):
    return start_site(request.param, DJANGO_SETTINGS_MODULE="tests.settings.proxied")


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        (["X-Forwarded-Proto: wss"], "www.example.com"),
        (["X-Forwarded-Proto: https"], "www.example.com"),
        (["X-Forwarded-Proto: https", "X-Forwarded-Host: www.example.com"], None),
    ],
    ids=["Traefik", "nginx", "Apache"],
)
async def test_proxies_pass_host_and_scheme_on_in_their_ways(proxied_site, headers, host):
    own = ["https://www.example.com", "wss://www.example.com"]
    elsewhere = ["https://shop.example.net", "capacitor://localhost"]
    foreign = ["http://www.example.com", "https://example.com", "ionic://localhost", "null"]
    seen = await statuses(proxied_site.port, *own, *elsewhere, *foreign, headers=headers, host=host)
    assert seen == [101] * 4 + [403] * 4


async def test_a_refusal_tells_the_operator_what_to_change(start_site):
    site = start_site("uvicorn", DJANGO_SETTINGS_MODULE="tests.settings.proxied")
    origin = "https://www.example.com"
    assert await statuses(site.port, origin, origin, host="www.example.com") == [403, 403]
    log = site.process.log.read_text()
    lines = [line for line in log.splitlines() if "WARNING realtime.middleware" in line]
    assert len(lines) == 1
    assert f"its Origin is {origin!r}; expected http://www.example.com" in lines[0]
    assert "SECURE_PROXY_SSL_HEADER" in lines[0]


PATHS = ["", "/app", "/app/app", "/other"]


@pytest.fixture(scope="module")
def site_below(start_site):
    """`site_below("daphne", "both")`: a site below `/app`, which one or both of them say."""

    @functools.cache
    def _start(server, by):
        options = [] if by == "the settings" else ["--root-path", "/app"]
        env = {} if by == "the server" else {"SCRIPT_NAME": "/app"}
        settings = "tests.settings.proxied"
        return start_site(server, options=options, DJANGO_SETTINGS_MODULE=settings, **env)

    return _start


@pytest.mark.parametrize(
    ("server", "by"),
    [
        ("daphne", "the server"),
        ("daphne", "the settings"),
        ("uvicorn", "both"),
        ("uvicorn-fast", "the server"),
        ("uvicorn-fast", "the settings"),
    ],
)
async def test_sockets_are_below_the_prefix_of_the_views(site_below, server, by):
    site = site_below(server, by)
    seen = {}
    for prefix in PATHS:
        view = await asyncio.to_thread(status_of, f"{site.url}{prefix}/realtime/rooms/")
        socket = await raw_handshake(site.port, f"{prefix}/ws/")
        seen[prefix] = (view != 404, socket == 101)
        assert socket in (101, 403)
    assert all(view == socket for view, socket in seen.values()), seen
    assert seen["/other"] == (False, False)
    assert sum(view for view, _ in seen.values()) >= 1, seen


async def test_a_client_of_daphne_can_not_move_the_site(shared_site):
    """Daphne takes the root path from a header, whoever sends it."""
    site = shared_site("daphne")
    for root in ("/elsewhere", "/ws", "/ws/", "", "%00", "/%1b[31m"):
        seen = await raw_handshake(site.port, "/ws/", f"Daphne-Root-Path: {root}")
        assert seen in (101, 403), root
        assert await raw_handshake(site.port, "/nope/", f"Daphne-Root-Path: {root}") == 403


def status_of(url):
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return response.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.parametrize("server", ["daphne", "uvicorn-fast"])
async def test_the_playground_works_below_a_path(site_below, open_page, server):
    site = site_below(server, "the settings")
    page = await open_page(f"{site.url}/app/")
    await fill_in(page, "alice")
    await expect(page.locator("#connection")).to_have_text("Connected")
    await enter(page, "Lobby")
    await say(page, "Hello from below")
    await expect(messages(page)).to_contain_text("Hello from below")
    assert [socket.url for socket in sockets(page)] == [f"ws://127.0.0.1:{site.port}/app/ws/"]

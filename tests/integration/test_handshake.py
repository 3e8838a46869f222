"""Credentials, origins and paths: what happens before and at the handshake, on both servers."""

import asyncio
import json
import urllib.request

import pytest
import websockets
from redis.asyncio import Redis
from websockets.exceptions import InvalidStatus

from realtime.layers.groups import group_name
from tests.support.handshakes import raw_handshake
from tests.support.marks import own_site


@pytest.fixture
def whoami(sign):
    """Open the plain socket of `lobby` and say who the server takes us for: a name or a code."""

    async def _whoami(site, query="", **options):
        url = f"{site.ws_url}rooms/lobby/{query}"
        async with websockets.connect(url, **options) as socket:
            await socket.recv()
            try:
                await socket.send('"who"')
                while True:
                    frame = json.loads(await socket.recv())
                    if frame.get("data") == "who":
                        return frame["name"]
            except websockets.ConnectionClosed as closed:
                return closed.rcvd.code

    return _whoami


def post(site, path, token):
    request = urllib.request.Request(
        site.url + path, method="POST", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


@pytest.fixture
def ticket(site, sign, secrets):
    def _ticket(user="alice", at=None):
        issued = post(at or site, "/realtime/ticket/", sign(user))["ticket"]
        secrets.add(issued)
        return issued

    return _ticket


def header(value):
    return {"additional_headers": {"Authorization": value}}


def subprotocols(*names):
    return {"subprotocols": list(names)}


async def test_each_way_gives_the_same_user(site, sign, whoami, ticket, open_client):
    token = sign("alice")
    assert await whoami(site, **subprotocols("realtime.v1", f"bearer.{token}")) == "alice"
    assert await whoami(site, **header(f"Bearer {token}")) == "alice"
    assert await whoami(site, **header(f"bearer {token}")) == "alice"
    assert await whoami(site, f"?ticket={ticket()}") == "alice"
    client = await open_client(token)
    await client.call(subscribe={"channel": "lobby"})
    await client.call(publish={"channel": "lobby", "data": 1})
    assert (await client.publication())["info"]["conn_info"]["name"] == "alice"


async def test_the_selected_subprotocol_is_never_the_token(site, sign):
    offered = subprotocols(f"bearer.{sign('alice')}", "realtime.v1")
    async with websockets.connect(site.ws_url, **offered) as socket:
        assert socket.subprotocol == "realtime.v1"


@pytest.fixture(scope="module", params=["daphne", "uvicorn", "uvicorn-fast"])
def opted_in_site(request, start_site):
    """A site with every credential switched on, beside none."""
    return start_site(request.param, DJANGO_SETTINGS_MODULE="tests.settings.cookie")


@own_site
async def test_the_opt_in_ways(opted_in_site, sign, whoami):
    site, token = opted_in_site, sign("alice")
    cookie = {"Cookie": f"access_token={token}"}
    own = {"origin": site.url, "additional_headers": cookie}
    assert await whoami(site, **own) == "alice"
    assert await whoami(site, f"?token={token}") == "alice"
    with pytest.raises(InvalidStatus) as refused:
        await whoami(site, additional_headers=cookie)
    assert refused.value.response.status_code == 403
    log = site.process.log.read_text()
    assert token not in log and "?token=" not in log.replace("?token=***", "")


@own_site
async def test_the_session_of_django_is_a_credential_where_it_is_switched_on(opted_in_site, whoami):
    site = opted_in_site
    code = (
        "from django.contrib.auth.models import User; from django.test import Client; "
        "c = Client(); c.force_login(User.objects.get(username='bob')); "
        "print(c.cookies['sessionid'].value)"
    )
    key = site.shell(code).strip()
    options = {"origin": site.url, "additional_headers": {"Cookie": f"sessionid={key}"}}
    assert await whoami(site, **options) == "bob"
    consent = 'consent={"ads": [1, 2]}; a-flag; spaced=x y'
    options["additional_headers"] = {"Cookie": f"{consent}; sessionid={key}; {consent}"}
    assert await whoami(site, **options) == "bob"
    options["additional_headers"] = {"Cookie": "sessionid=unknown"}
    assert await whoami(site, **options) == 3500


async def test_credentials_that_are_switched_off_are_refused(site, sign, whoami):
    token = sign("alice")
    assert await whoami(site, f"?token={token}") == 3500
    cookie = {"Cookie": f"access_token={token}"}
    assert await whoami(site, origin=site.url, additional_headers=cookie) == 3500


@pytest.mark.parametrize(
    "options",
    [
        lambda t: header("Basic x"),
        lambda t: header("Bearer"),
        lambda t: header(f"Bearer {t} x"),
        lambda t: {"additional_headers": [("Authorization", f"Bearer {t}")] * 2},
        lambda t: subprotocols("realtime.v1", f"bearer.{t}", f"bearer.{t}x"),
        lambda t: {**subprotocols("realtime.v1", f"bearer.{t}"), **header(f"Bearer {t}")},
    ],
    ids=["basic", "no token", "three words", "two headers", "two bearers", "two ways"],
)
async def test_malformed_and_ambiguous_credentials_are_refused(site, sign, whoami, options):
    assert await whoami(site, **options(sign("alice"))) == 3500


async def test_a_bearer_subprotocol_alone_is_refused_and_not_echoed(site, sign):
    token = sign("alice")
    async with websockets.connect(site.ws_url, **subprotocols(f"bearer.{token}")) as socket:
        assert socket.subprotocol is None
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
    assert (closed.value.rcvd.code, token in str(closed.value)) == (3500, False)


async def test_a_ticket_works_once_also_for_two_at_once(site, whoami, ticket):
    query = f"?ticket={ticket()}"
    outcomes = await asyncio.gather(*(whoami(site, query) for _ in range(2)))
    assert sorted(map(str, outcomes)) == ["3500", "alice"]
    assert await whoami(site, query) == 3500
    assert await whoami(site, "?ticket=unknown") == 3500
    assert await whoami(site, "?ticket=") == 3500


@own_site
async def test_a_ticket_ends_with_its_time_and_its_user(start_site, sign, whoami, ticket):
    site = start_site("uvicorn", DJANGO_SETTINGS_MODULE="tests.settings.ticket")
    late, gone = f"?ticket={ticket(at=site)}", f"?ticket={ticket('bob', at=site)}"
    site.shell(
        "from django.contrib.auth.models import User; "
        "User.objects.filter(username='bob').update(is_active=False)",
    )
    assert await whoami(site, gone) == 3500
    await asyncio.sleep(2.1)  # the ticket's own time has to pass
    assert await whoami(site, late) == 3500


def foreign_origins(port):
    return [
        ["Origin: http://evil.example"],
        [f"Origin: http://localhost.evil.example:{port}"],
        [f"Origin: http://127.0.0.1:{port + 1}"],
        [f"Origin: https://127.0.0.1:{port}"],
        ["Origin: null"],
        [f"Origin: http://127.0.0.1:{port}/"],
        [f"Origin: http://127.0.0.1:{port}", f"Origin: http://127.0.0.1:{port}"],
        [f"Origin: http://127.0.0.1:{port}", "Origin: http://evil.example"],
    ]


async def test_foreign_origins_are_refused_with_403(site, sign):
    bearer = f"Authorization: Bearer {sign('alice')}"
    for headers in foreign_origins(site.port):
        # Autobahn answers two Origins with 400 by itself.
        assert await raw_handshake(site.port, "/ws/", bearer, *headers) in (400, 403), headers


async def test_the_own_origin_and_none_are_fine(site, sign):
    bearer = f"Authorization: Bearer {sign('alice')}"
    for origin in ([], [f"Origin: http://127.0.0.1:{site.port}"]):
        assert await raw_handshake(site.port, "/ws/", bearer, *origin) == 101


async def test_a_host_that_is_not_ours_is_refused_with_its_origin(site):
    headers = {"additional_headers": {"Host": "evil.example"}, "origin": "http://evil.example"}
    with pytest.raises((InvalidStatus, websockets.InvalidMessage, ValueError)):
        async with websockets.connect(site.ws_url, **headers):
            pass


@pytest.mark.parametrize(
    "path",
    ["/", "/nope", "/ws", "/ws/x", "/ws/rooms/", "/ws/%0d%0aX: y/", "/ws/%1b[31m/", "/%00"]
    + ["/" + "a" * 8_000],
    ids=lambda path: path[:20],
)
async def test_unknown_paths_are_refused_in_one_line(site, path):
    before = site.process.log.stat().st_size
    assert await raw_handshake(site.port, path.replace(" ", "%20")) in (400, 403, 404, 414)
    with site.process.log.open("rb") as log:
        log.seek(before)
        printed = log.read()
    assert b"\x1b[31m" not in printed and b"\r\nX: y" not in printed


@own_site
@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
async def test_sockets_cut_while_the_user_is_looked_up_leave_nothing_behind(
    start_site, sign, open_client, redis_server, server
):
    site = start_site(server, redis=True, DJANGO_SETTINGS_MODULE="tests.settings.slow_lookup")
    bearer = f"Authorization: Bearer {sign('alice')}"

    async def cut():
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        lines = [
            "GET /ws/rooms/lobby/ HTTP/1.1",
            f"Host: 127.0.0.1:{site.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            bearer,
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await writer.drain()
        writer.transport.abort()

    await asyncio.gather(*(cut() for _ in range(12)))
    client = await open_client(sign("alice"), url=site.ws_url)
    assert "subscribe" in await client.call(subscribe={"channel": "lobby"})
    await client.connection.close()
    redis = Redis.from_url(redis_server)
    group = f"{site.env['REDIS_PREFIX']}__group__{group_name('lobby')}"
    try:
        async with asyncio.timeout(60):
            while await redis.pubsub_channels(group):
                await asyncio.sleep(0.05)
    finally:
        await redis.aclose()

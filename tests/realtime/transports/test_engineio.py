"""Requests of Engine.IO over HTTP: handshakes, sizes, users, origins."""

import asyncio
import json

import pytest

from realtime.codes import CloseCode
from realtime.transports.engineio import EngineIO
from realtime.transports.polling_sessions import get_sessions
from tests.support.polling import PollingClient, authenticate

ORIGIN = (b"origin", b"https://app.example.com")


@pytest.fixture
def app(consumer):
    return EngineIO(consumer, authenticate)


@pytest.fixture
async def client(app):
    client = PollingClient(app)
    await client.open()
    return client


# The handshake


async def test_the_first_answer_is_the_open_packet(app):
    about = await PollingClient(app).open()
    assert about.pop("sid")
    assert about == {
        "upgrades": ["websocket"],
        "pingInterval": 25_000,
        "pingTimeout": 8_000,
        "maxPayload": 10_000,
    }


async def test_no_two_sessions_have_the_same_id(app):
    ids = {(await PollingClient(app).open())["sid"] for _ in range(20)}
    assert len(ids) == 20


async def test_answers_are_kept_by_nobody_and_taken_for_nothing_else(app):
    answer = await PollingClient(app).request()
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "text/plain; charset=UTF-8"


@pytest.mark.parametrize(
    ("method", "query", "code"),
    [
        ("GET", {"transport": "carrier-pigeon"}, 0),
        ("GET", {"transport": ...}, 0),
        ("GET", {"sid": "unknown"}, 1),
        ("GET", {"sid": ""}, 1),
        ("GET", {"sid": "\U0001f600"}, 1),
        ("POST", {"sid": "A" * 40}, 1),
        ("POST", {}, 2),
        ("PUT", {}, 2),
        ("GET", {"transport": "websocket"}, 3),
        ("GET", {"EIO": "3"}, 5),
        ("GET", {"EIO": ...}, 5),
    ],
)
async def test_a_wrong_request_gets_the_error_of_engine_io(app, method, query, code):
    answer = await PollingClient(app).request(method, **query)
    assert (answer.status, answer.code) == (400, code)
    assert not len(get_sessions())


async def test_a_session_that_is_refused_is_told_so_and_leaves_nothing(app, consumer, settings):
    settings.REALTIME = {**settings.REALTIME, "UNAUTHENTICATED_PER_ADDRESS": 1}
    await PollingClient(app).open()
    second = PollingClient(app)
    about, *rest = await second.poll()
    assert rest == [f"4closed {int(CloseCode.TOO_MANY_REQUESTS)}"]
    second.sid = json.loads(about[1:])["sid"]
    assert await second.poll() == ["1"]
    assert len(get_sessions()) == 1


# Sizes and users


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_body_that_is_too_large_is_not_read_to_its_end(client, is_announced):
    parts = [b"4" + b"x" * 4_999] * 10
    left = parts.copy()
    headers = [(b"content-length", b"50000")] if is_announced else []
    scope = client.scope("POST")
    scope["headers"] += headers
    sent = []

    async def receive():
        if not left:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(event):
        sent.append(event)

    await client.app(scope, receive, send)
    assert sent[0]["status"] == 413
    assert len(parts) - len(left) <= 3 + 2
    assert (await client.request()).code == 1


async def test_a_body_that_does_not_come_to_its_end_is_not_waited_for(client, settings):
    settings.REALTIME = {**settings.REALTIME, "PING_SECONDS": 0.05, "PONG_SECONDS": 0.05}
    sent, parts = [], [b"4begin"]

    async def receive():
        if not parts:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": parts.pop(), "more_body": True}

    async def send(event):
        sent.append(event)

    await client.app(client.scope("POST"), receive, send)
    assert sent[0]["status"] == 408


async def test_a_client_that_leaves_its_post_gets_nothing(client):
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(event):
        sent.append(event)

    await client.app(client.scope("POST"), receive, send)
    assert sent == []


async def test_a_body_of_the_largest_size_is_read(client):
    command = '4{"id":1,"connect":{}}'
    await client.post(command, "4" + "x" * (10_000 - len(command) - 2))
    assert len(get_sessions()) == 1


async def test_an_id_of_another_user_is_unknown(app):
    alice = PollingClient(app, token="alice")
    await alice.open()
    thief = PollingClient(app, token="bob")
    thief.sid = alice.sid
    assert (await thief.request()).code == 1
    assert (await thief.request("POST", b"1")).code == 1
    nobody = PollingClient(app, token="mallory")
    nobody.sid = alice.sid
    assert (await nobody.request("POST", b"1")).code == 1
    await alice.call(id=1, connect={})


async def test_an_id_without_the_cookie_that_came_with_it_is_unknown(app, settings):
    settings.REALTIME = {**settings.REALTIME, "CREDENTIALS": ["cookie"]}
    alice = PollingClient(app, headers=[ORIGIN, (b"cookie", b"access_token=alice")])
    await alice.open()
    thief = PollingClient(app)
    thief.sid = alice.sid
    assert (await thief.request()).code == 1


async def test_a_header_may_come_with_the_first_request_only(app):
    """As python-socketio sends it."""
    alice = PollingClient(app, token="alice")
    await alice.open()
    alice.headers = []
    await alice.call(id=1, connect={})


async def test_a_newer_token_of_the_same_user_is_taken(app):
    alice = PollingClient(app, token="alice.1")
    await alice.open()
    later = PollingClient(app, token="alice.2")
    later.sid = alice.sid
    await later.call(id=1, connect={})


# Origins


async def test_a_page_of_an_allowed_origin_may_read_answers(app):
    answer = await PollingClient(app, headers=[ORIGIN]).request()
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert answer.headers["access-control-allow-credentials"] == "true"
    error = await PollingClient(app, headers=[ORIGIN]).request(sid="x")
    assert error.headers["access-control-allow-origin"] == "https://app.example.com"


async def test_a_page_of_another_origin_gets_nothing(app):
    evil = PollingClient(app, headers=[(b"origin", b"https://evil.example.com")])
    answer = await evil.request()
    assert (answer.status, answer.code) == (403, 4)
    assert "access-control-allow-origin" not in answer.headers
    assert not len(get_sessions())


@pytest.mark.parametrize(("origin", "status"), [(ORIGIN[1], 204), (b"https://evil.com", 403)])
async def test_a_preflight_is_answered(app, origin, status):
    client = PollingClient(app, headers=[(b"origin", origin)])
    answer = await client.request_options()
    assert answer.status == status
    assert ("access-control-allow-methods" in answer.headers) == (status == 204)

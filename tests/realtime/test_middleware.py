"""What the middleware refuses before a consumer runs, and what it logs."""

import asyncio
import logging

import pytest
from channels.routing import URLRouter
from django.core.handlers.asgi import ASGIRequest
from django.urls import path, re_path

from realtime import sparse_log
from realtime.exceptions import AuthenticationUnavailable
from realtime.middleware import JWTAuthMiddleware
from realtime.routing import not_found, websocket_application


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch):
    """Each test is in a minute of its own."""
    monkeypatch.setattr("realtime.middleware._refused._next_at", 0.0)
    monkeypatch.setattr("realtime.middleware._refused._left_out", 0)


def scope(address="/ws/", **more):
    headers = [(b"host", b"testserver"), *more.pop("headers", [])]
    given = {"type": "websocket", "path": address, "query_string": b"", "subprotocols": []}
    return {**given, "headers": headers, **more}


async def outcome(application, scope):
    """The first event that the application sends."""
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(event):
        sent.append(event)

    await application(scope, receive, send)
    return sent[0]["type"]


FOREIGN = [(b"origin", b"http://evil.example")]


async def test_a_foreign_origin_is_refused_and_logged_once_a_minute(caplog, monkeypatch):
    now = 1_000.0
    monkeypatch.setattr(sparse_log.time, "monotonic", lambda: now)
    for _ in range(5):
        refused = await outcome(websocket_application, scope(headers=FOREIGN))
        assert refused == "websocket.close"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    for word in ("'http://evil.example'", "expected http://testserver", "ALLOWED_ORIGINS"):
        assert word in record.getMessage()
    now += 61
    await outcome(websocket_application, scope(headers=FOREIGN))
    assert "and 4 more" in caplog.records[1].getMessage()


async def test_a_cookie_without_an_origin_is_refused_and_logged(settings, caplog):
    settings.REALTIME = {"CREDENTIALS": ["cookie"]}
    cookie = [(b"cookie", b"access_token=secret")]
    assert await outcome(websocket_application, scope(headers=cookie)) == "websocket.close"
    assert "a cookie needs an Origin" in caplog.text
    assert "secret" not in caplog.text


SESSION = [(b"cookie", b"sessionid=" + b"a" * 32)]


async def refused_credential(scope):
    """The error that the consumer gets, and whether a token may follow."""
    found = []

    async def application(scope, receive, send):
        found.append(scope["authentication_error"])

    async with asyncio.timeout(10):
        await JWTAuthMiddleware(application)(scope, None, None)
    return found[0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        (None, "none came"),
        (b"https://app.example.org", "CSRF_TRUSTED_ORIGINS"),
        (b"http://testserver", "not signed in"),
        (b"https://shop.example.net", "not signed in"),
    ],
)
async def test_the_session_is_only_for_pages_that_pass_the_csrf_check(settings, origin, reason):
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.example.net"]
    settings.REALTIME = {"ALLOWED_ORIGINS": ["https://app.example.org"]}
    headers = [*SESSION, *([(b"origin", origin)] if origin else [])]
    error = await refused_credential(scope(headers=headers))
    assert reason in str(error)
    assert error.ambient, "a token may follow"


@pytest.mark.parametrize("origin", [b"http://evil.example", b"null", b"https://testserver"])
async def test_a_foreign_page_with_a_session_is_refused(origin):
    given = scope(headers=[*SESSION, (b"origin", origin)])
    assert await outcome(websocket_application, given) == "websocket.close"


async def accept(scope, receive, send):
    await send({"type": "websocket.accept"})


ROUTES = [path("ws/", accept), re_path(r"", not_found)]
ADDRESSES = ["/ws/", "/app/ws/", "/app/app/ws/", "/appws/", "/application/ws/", "/app", "/app/"]


@pytest.mark.parametrize("address", [*ADDRESSES, "/", "", "ws/", "/other/ws/", "/app//ws/"])
@pytest.mark.parametrize("root_path", [None, "", "/app", "/other"])
@pytest.mark.parametrize("script_name", [None, "/app"])
async def test_sockets_are_below_the_prefix_of_the_views(settings, script_name, root_path, address):
    settings.FORCE_SCRIPT_NAME = script_name
    given = scope(address) if root_path is None else scope(address, root_path=root_path)
    found = await outcome(JWTAuthMiddleware(URLRouter(ROUTES)), given)
    view = ASGIRequest({**given, "method": "GET"}, None).path_info
    # Channels takes several slashes at the beginning for one.
    expected = view.startswith("/") and view.lstrip("/") == "ws/"
    if address == "ws/":
        expected = True  # no server sends this
    assert (found == "websocket.accept") is expected


async def test_a_router_above_ours_may_have_matched_a_part_of_the_path(settings):
    settings.FORCE_SCRIPT_NAME = "/app"
    inner = JWTAuthMiddleware(URLRouter(ROUTES))
    inner._path_routing = True
    outer = URLRouter([path("live/", inner)])
    assert await outcome(outer, scope("/live/ws/")) == "websocket.accept"


async def test_an_unknown_path_is_refused_in_one_escaped_line(settings, caplog, monkeypatch):
    settings.FORCE_SCRIPT_NAME = "/app"
    for address in ("/nope", "/app/\x1b[31m\r\n", "/" + "a" * 8_000, ""):
        caplog.clear()
        monkeypatch.setattr("realtime.routing._unknown._next_at", 0.0)
        assert await outcome(websocket_application, scope(address, root_path="/x")) == (
            "websocket.close"
        )
        (record,) = caplog.records
        assert "unknown path" in record.getMessage()
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) < 400
        assert record.levelno == logging.WARNING
        assert "/app/ws/" in record.getMessage() or "/ws/" in record.getMessage()


class NeverAnswers:
    """An authenticator that waits for something that does not come."""

    async def authenticate(self, raw_token):
        await asyncio.Event().wait()


async def test_a_credential_is_checked_for_connect_seconds_at_most(settings):
    settings.REALTIME = {
        "AUTHENTICATOR": f"{__name__}.NeverAnswers",
        "CONNECT_SECONDS": 0.05,
        "RIGHTS_SECONDS": 60,
    }
    scope = {
        "type": "websocket",
        "path": "/ws/",
        "query_string": b"",
        "headers": [(b"host", b"testserver"), (b"authorization", b"Bearer opaque")],
    }
    found = []

    async def application(scope, receive, send):
        found.append(scope["authentication_error"])

    async with asyncio.timeout(60):
        await JWTAuthMiddleware(application)(scope, None, None)
    assert isinstance(found[0], AuthenticationUnavailable)

"""Event streams on an ASGI server that has no network.

Long, because one server and its streams are the ground of all cases.
"""

import asyncio

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from rest_framework_simplejwt.tokens import AccessToken

from realtime.authentication import Identity, tickets
from realtime.codes import CloseCode, UnsubscribeCode
from realtime.hub import drain
from realtime.models import Membership, Room
from realtime.rooms.publications import Retention
from realtime.routing import http_application
from tests.support.event_streams import SECONDS, Request

pytestmark = pytest.mark.django_db(transaction=True)

KEEPS = Retention(100, 300)


async def django(scope, receive, send):
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def lobby():
    return Room.objects.create(name="lobby", access=Room.Access.AUTHENTICATED)


@pytest.fixture(autouse=True)
def node_of_the_process(node, monkeypatch):
    for module in ("connection.opening", "server_api.reading"):
        monkeypatch.setattr(f"realtime.{module}.get_node", lambda: node, raising=False)
    monkeypatch.setattr("realtime.layers.get_layer", lambda: node.layer)


@pytest.fixture
async def ask():
    """`ask("room=lobby", user, ...)`: begin a request."""
    requests = []

    def _ask(
        query, user=None, *, method="GET", path="/realtime/sse/", headers=(), body=b"", root_path=""
    ):
        headers = [(b"host", b"testserver"), *headers]
        if user is not None:
            token = user if isinstance(user, str) else str(AccessToken.for_user(user))
            headers.append((b"authorization", f"Bearer {token}".encode()))
        request = Request(
            http_application(django),
            {
                "type": "http",
                "method": method,
                "scheme": "http",
                "path": path,
                "root_path": root_path,
                "query_string": query.encode(),
                "headers": headers,
                "client": ("192.0.2.1", 50_000),
            },
            body,
        )
        requests.append(request)
        return request

    yield _ask
    for request in requests:
        request.reads.set()
        await request.end()


async def publish(node, room, *values):
    for value in values:
        await node.layer.append(room, b'{"data":%d}' % value, KEEPS)


async def test_a_stream_begins_with_its_rooms_and_goes_on_with_their_messages(
    ask, node, alice, lobby
):
    stream = ask("room=lobby", alice)
    joined = await stream.next()
    assert (joined["type"], joined["room"], joined["offset"]) == ("joined", "lobby", 0)
    await publish(node, "lobby", 1)
    assert (await stream.next())["data"] == 1
    assert stream.status == 200
    assert stream.headers == {
        "content-type": "text/event-stream",
        "cache-control": "no-store, no-transform",
        "x-accel-buffering": "no",
        "vary": "Origin",
    }
    assert 1_000 <= stream.retry <= 3_000


async def test_everything_else_is_django_s(ask):
    for path in ("/realtime/sse", "/realtime/rooms/", "/sse/", "/realtime/sse/x/"):
        other = ask("", path=path)
        assert await other.answer() is None
        assert other.status == 299


async def test_a_client_that_goes_leaves_its_rooms(ask, node, alice, lobby):
    stream = ask("room=lobby", alice)
    await stream.next()
    [session] = node.sessions
    await stream.end()
    assert not node.sessions
    assert session.is_closed
    assert not session.rooms


async def test_a_client_that_comes_back_gets_what_it_missed_in_each_room(ask, node, alice, lobby):
    await Room.objects.acreate(name="news", access=Room.Access.AUTHENTICATED)
    stream = ask("room=lobby&room=news", alice)
    await stream.next()
    await stream.next()
    await publish(node, "lobby", 1)
    await stream.next()
    last_id = stream.last_id
    await stream.end()
    await publish(node, "lobby", 2, 3)
    await publish(node, "news", 4)
    again = ask("room=lobby&room=news", alice, headers=[(b"last-event-id", last_id.encode())])
    events = [await again.next() for _ in range(5)]
    assert [event.get("data", event.get("recovered")) for event in events] == [True, 2, 3, True, 4]
    # In the middle of it, the id is that of what has come.
    parts = ask("room=lobby&room=news", alice, headers=[(b"last-event-id", last_id.encode())])
    await parts.next()
    assert (await parts.next())["data"] == 2
    third = ask(f"room=lobby&room=news&since={parts.last_id}", alice)
    events = [await third.next() for _ in range(4)]
    assert [event.get("data", event.get("recovered")) for event in events] == [True, 3, True, 4]


async def test_the_id_of_the_browser_is_newer_than_that_of_the_url(ask, node, alice, lobby):
    stream = ask("room=lobby", alice)
    await stream.next()
    old = stream.last_id
    await publish(node, "lobby", 1)
    await stream.next()
    again = ask(
        f"room=lobby&since={old}", alice, headers=[(b"last-event-id", stream.last_id.encode())]
    )
    assert (await again.next())["recovered"] is True
    await publish(node, "lobby", 2)
    assert (await again.next())["data"] == 2


@pytest.mark.parametrize("id", ["x", "0,abc:1", "0,-", ",", "%", "1" * 5_000, "e:1", "é"])
async def test_an_unknown_id_is_told_as_not_recovered(ask, node, alice, lobby, id):
    await publish(node, "lobby", 1)
    stream = ask("room=lobby", alice, headers=[(b"last-event-id", id.encode())])
    joined = await stream.next()
    assert (joined["recovered"], joined["offset"]) == (False, 1)


async def test_an_older_epoch_is_told_as_not_recovered(ask, node, alice, lobby):
    stream = ask("room=lobby", alice)
    epoch = (await stream.next())["epoch"]
    id = stream.last_id.replace(epoch, "0" * len(epoch))
    again = ask("room=lobby", alice, headers=[(b"last-event-id", id.encode())])
    assert (await again.next())["recovered"] is False


async def test_rooms_that_may_not_be_entered_are_named_and_the_others_entered(ask, alice, lobby):
    await Room.objects.acreate(name="secret")
    stream = ask("room=secret&room=lobby&room=nowhere&room=a%0Ab", alice)
    events = [await stream.next() for _ in range(4)]
    assert [(event["type"], event["room"]) for event in events] == [
        ("joined", "lobby"),
        ("refused", "secret"),
        ("refused", "nowhere"),
        ("refused", "a\nb"),
    ]


async def test_a_room_that_is_not_there_and_one_that_is_forbidden_answer_alike(ask, alice):
    await Room.objects.acreate(name="secret")
    answers = []
    for room in ("secret", "nowhere"):
        request = ask(f"room={room}", alice, headers=[(b"accept", b"text/event-stream")])
        answers.append((await request.answer(), request.status, request.headers))
    assert answers[0] == answers[1]
    assert answers[0][:2] == (
        {"detail": "permission denied", "code": "permission_denied", "error": 103},
        403,
    )


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("room=", 403),
        ("room=%ff", 400),
        ("&".join(f"room=r{number}" for number in range(129)), 400),
        ("room=lobby&ticket=never", 401),
        ("room=lobby&ticket=a&ticket=b", 401),
        ("room=lobby&token=x", 401),
    ],
)
async def test_a_request_that_asks_for_nothing_that_there_is(ask, alice, lobby, query, status):
    request = ask(query, None if "ticket" in query or "token" in query else alice)
    answer = await request.answer()
    assert request.status == status, answer
    assert answer["detail"]
    assert request.headers["cache-control"] == "no-store"
    assert request.headers["content-type"] == "application/json"


async def test_nobody_and_a_bad_token_are_unauthorized(ask, lobby):
    for token in (None, "x.y.z"):
        request = ask("room=lobby", token, headers=[(b"accept", b"text/event-stream")])
        answer = await request.answer()
        assert (request.status, answer["code"], answer["error"]) == (401, "invalid_token", 3500)
        assert request.headers["www-authenticate"] == 'Bearer realm="api"'


async def test_an_expired_token_is_told_apart(ask, alice, lobby):
    token = AccessToken.for_user(alice)
    token.set_exp(claim="exp", from_time=token.current_time, lifetime=-token.lifetime)
    request = ask("room=lobby", str(token))
    answer = await request.answer()
    assert (request.status, answer["error"]) == (401, 109)


async def test_a_ticket_opens_one_stream(ask, node, alice, lobby):
    node.layer.store_ticket("once", tickets.identity_to_ticket(Identity(alice)), 30)
    stream = ask("room=lobby&ticket=once")
    assert (await stream.next())["type"] == "joined"
    again = ask("room=lobby&ticket=once")
    await again.answer()
    assert again.status == 401


async def test_visitors_come_in_where_they_are_allowed(ask, settings):
    settings.REALTIME = {**settings.REALTIME, "ALLOW_ANONYMOUS": True}
    await Room.objects.acreate(name="open", access=Room.Access.ANYONE)
    assert (await ask("room=open").next())["room"] == "open"


async def test_only_get_reads_a_stream(ask, alice, lobby):
    for method in ("POST", "HEAD", "PUT", "DELETE"):
        request = ask("room=lobby", alice, method=method)
        await request.answer()
        assert (request.status, request.headers["allow"]) == (405, "GET, OPTIONS")


# Pages


@pytest.fixture
def signed_in(alice):
    """The headers of a browser in which alice is signed in."""
    session = SessionStore()
    session["_auth_user_id"] = str(alice.pk)
    session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
    session["_auth_user_hash"] = alice.get_session_auth_hash()
    session.save()
    return [(b"cookie", f"sessionid={session.session_key}".encode())]


OWN_PAGES = [
    [(b"sec-fetch-site", b"same-origin")],
    [(b"referer", b"http://testserver/page/?q=1")],
    [(b"origin", b"http://testserver")],
    [(b"sec-fetch-site", b"same-origin"), (b"referer", b"http://testserver/")],
]
OTHER_PAGES = [
    [],
    [(b"sec-fetch-site", b"cross-site")],
    [(b"sec-fetch-site", b"same-site")],
    [(b"sec-fetch-site", b"none")],
    [(b"sec-fetch-site", b"cross-site"), (b"referer", b"http://testserver/")],
    [(b"sec-fetch-site", b"same-origin"), (b"sec-fetch-site", b"same-origin")],
    [(b"referer", b"http://testserver"), (b"referer", b"http://testserver")],
]
FOREIGN_PAGES = [
    [(b"origin", b"http://evil.example")],
    [(b"origin", b"null")],
    [(b"origin", b"http://evil.example"), (b"sec-fetch-site", b"same-origin")],
    [(b"referer", b"http://evil.example/http://testserver/")],
    [(b"referer", b"http://testserver.evil.example/")],
]


@pytest.mark.parametrize("page", OWN_PAGES)
async def test_the_session_is_taken_from_pages_of_the_site(ask, signed_in, lobby, page):
    assert (await ask("room=lobby", headers=signed_in + page).next())["type"] == "joined"


@pytest.mark.parametrize("page", OTHER_PAGES)
async def test_the_session_is_not_taken_from_any_other_page(ask, signed_in, lobby, page):
    request = ask("room=lobby", headers=signed_in + page)
    await request.answer()
    assert request.status == 401


@pytest.mark.parametrize("page", FOREIGN_PAGES)
async def test_a_foreign_page_is_refused_with_every_credential(ask, signed_in, alice, lobby, page):
    for user, headers in ((None, signed_in), (alice, [])):
        request = ask("room=lobby", user, headers=headers + page)
        await request.answer()
        assert request.status == 403
        assert "access-control-allow-origin" not in request.headers


async def test_a_cookie_with_a_token_needs_a_page(ask, settings, alice, lobby):
    settings.REALTIME = {**settings.REALTIME, "CREDENTIALS": ["cookie"]}
    cookie = (b"cookie", f"access_token={AccessToken.for_user(alice)}".encode())
    assert (await ask("room=lobby", headers=[cookie, *OWN_PAGES[0]]).next())["type"] == "joined"
    for page in OTHER_PAGES:
        request = ask("room=lobby", headers=[cookie, *page])
        await request.answer()
        assert request.status == 403


async def test_pages_of_allowed_origins_may_read(ask, settings, alice, signed_in, lobby):
    settings.REALTIME = {**settings.REALTIME, "ALLOWED_ORIGINS": ["https://app.example.org"]}
    settings.CSRF_TRUSTED_ORIGINS = ["https://shop.example.org"]
    app, shop = ((b"origin", f"https://{name}.example.org".encode()) for name in ("app", "shop"))
    cors = {
        "access-control-allow-origin": "https://app.example.org",
        "access-control-allow-credentials": "true",
        "vary": "Origin",
    }
    stream = ask("room=lobby", alice, headers=[app])
    await stream.next()
    assert cors.items() <= stream.headers.items()
    # A refusal may be read, too.
    refused = ask("room=nowhere", alice, headers=[app])
    await refused.answer()
    assert cors.items() <= refused.headers.items()
    # Their pages bring a credential of their own; the session is for those that Django trusts.
    stranger = ask("room=lobby", headers=[*signed_in, app])
    await stranger.answer()
    assert stranger.status == 401
    assert (await ask("room=lobby", headers=[*signed_in, shop]).next())["type"] == "joined"


async def test_a_preflight_allows_what_readers_send(ask, settings):
    settings.REALTIME = {**settings.REALTIME, "ALLOWED_ORIGINS": ["https://app.example.org"]}
    asked = [
        (b"access-control-request-method", b"GET"),
        (b"access-control-request-headers", b"authorization,last-event-id"),
    ]
    allowed = ask("", method="OPTIONS", headers=[(b"origin", b"https://app.example.org"), *asked])
    assert await allowed.answer() is None
    assert allowed.status == 204
    assert allowed.headers["access-control-allow-methods"] == "GET"
    assert "Last-Event-ID" in allowed.headers["access-control-allow-headers"]
    foreign = ask("", method="OPTIONS", headers=[(b"origin", b"https://evil.example"), *asked])
    await foreign.answer()
    assert foreign.status == 403


# While a stream is open


async def test_a_room_that_is_lost_is_an_event_and_the_last_one_the_end(ask, node, alice, lobby):
    news = await Room.objects.acreate(name="news")
    await Membership.objects.acreate(room=news, user=alice)
    stream = ask("room=lobby&room=news", alice)
    await stream.next()
    await stream.next()
    [session] = node.sessions
    session.unsubscribe("news", UnsubscribeCode.BY_SERVER, "not any more")
    lost = await stream.next()
    assert (lost["type"], lost["room"], lost["code"]) == ("unsubscribed", "news", 2000)
    await publish(node, "news", 1)
    await publish(node, "lobby", 2)
    assert (await stream.next())["data"] == 2
    session.unsubscribe("lobby", UnsubscribeCode.BY_SERVER, "not any more")
    lost, end = await stream.rest()
    assert (lost["type"], end["type"]) == ("unsubscribed", "closed")
    assert (end["code"], end["reconnect"]) == (3507, False)


async def test_a_room_that_starts_again_ends_the_stream_so_that_it_comes_back(
    ask, node, alice, lobby
):
    stream = ask("room=lobby", alice)
    await stream.next()
    [session] = node.sessions
    session.unsubscribe("lobby", UnsubscribeCode.INSUFFICIENT_STATE, "insufficient state")
    assert [event["type"] for event in await stream.rest()] == ["unsubscribed", "closed"]
    assert stream.retry >= 1_000


async def test_a_user_who_is_deactivated_is_told_and_does_not_come_back(ask, node, alice, lobby):
    stream = ask("room=lobby", alice)
    await stream.next()
    await User.objects.filter(pk=alice.pk).aupdate(is_active=False)
    [session] = node.sessions
    node.reviewer.look_at([session])
    [end] = await stream.rest()
    assert (end["type"], end["code"], end["reconnect"]) == ("closed", 3500, False)
    again = ask("room=lobby", str(AccessToken.for_user(alice)))
    await again.answer()
    assert again.status == 401


async def test_the_end_of_a_token_ends_the_stream(ask, alice, lobby):
    token = AccessToken.for_user(alice)
    token.set_exp(lifetime=token.lifetime * 0)
    token["exp"] += 2
    stream = ask("room=lobby", str(token))
    joined, end = await stream.rest()
    assert (joined["type"], end["code"], end["reconnect"]) == ("joined", 3005, True)


async def test_a_quiet_stream_has_comments(ask, settings, alice, lobby):
    settings.REALTIME = {**settings.REALTIME, "PING_SECONDS": 0.05}
    stream = ask("room=lobby", alice)
    await stream.next()
    asyncio.get_running_loop().call_later(0.4, stream.leave.set)
    assert await stream.rest() == []
    assert stream.comments >= 2


async def test_a_reader_that_stops_is_cut_and_the_others_go_on(ask, settings, node, alice, lobby):
    settings.REALTIME = {
        **settings.REALTIME,
        "OUTBOX_MAX_BYTES": 20_000,
        "CLOSE_SECONDS": 0.05,
    }
    slow, other = ask("room=lobby", alice), ask("room=lobby", alice)
    await slow.next()
    await other.next()
    slow.reads.clear()
    body = b'{"data":"%s"}' % (b"x" * 5_000)
    for _ in range(10):
        await node.layer.append("lobby", body, KEEPS)
        assert len((await other.next())["data"]) == 5_000
    async with asyncio.timeout(SECONDS):
        while len(node.sessions) == 2:
            await asyncio.sleep(0.01)
    [session] = node.sessions
    assert session.unsent_bytes == 0


async def test_what_is_recovered_by_a_reader_that_stops_is_limited(
    ask, settings, node, alice, lobby
):
    settings.REALTIME = {
        **settings.REALTIME,
        "OUTBOX_MAX_BYTES": 20_000,
        "CLOSE_SECONDS": 0.05,
    }
    first = ask("room=lobby", alice)
    await first.next()
    slow = ask(f"room=lobby&since={first.last_id}", alice)
    slow.reads.clear()
    body = b'{"data":"%s"}' % (b"x" * 5_000)
    async with asyncio.timeout(SECONDS):
        while len(node.sessions) < 2:
            await asyncio.sleep(0.01)
        for _ in range(20):
            await node.layer.append("lobby", body, KEEPS)
            await first.next()
        while len(node.sessions) == 2:
            await asyncio.sleep(0.01)


# What is only so for a moment


async def test_a_process_that_drains_sends_its_clients_elsewhere(ask, monkeypatch, alice, lobby):
    monkeypatch.setattr(drain, "is_draining", lambda: True)
    other = ask("room=lobby", alice, headers=[(b"accept", b"*/*")])
    assert await other.answer() == {"detail": "shutdown", "code": "unavailable", "error": 3001}
    assert (other.status, other.headers["retry-after"]) == (503, "1")
    # After a 503, an EventSource never comes back.
    browser = ask("room=lobby", alice, headers=[(b"accept", b"text/event-stream")])
    [end] = await browser.rest()
    assert (browser.status, end["code"], end["reconnect"]) == (200, 3001, True)
    assert browser.retry >= 1_000


async def test_a_stream_that_is_drained_is_told_when_to_come_back(ask, node, alice, lobby):
    stream = ask("room=lobby", alice)
    await stream.next()
    [session] = node.sessions
    session.shut_down()
    [end] = await stream.rest()
    assert (end["code"], end["reconnect"]) == (CloseCode.SHUTDOWN, True)


async def test_a_rule_that_hangs_is_answered(ask, settings, monkeypatch, alice, lobby):
    settings.REALTIME = {**settings.REALTIME, "CONNECT_SECONDS": 0.2}
    forever = asyncio.Event()

    async def hang(*args, **options):
        await forever.wait()

    monkeypatch.setattr("realtime.connection.joining.grants.prepare", hang)
    request = ask("room=lobby", alice)
    answer = await request.answer()
    assert (request.status, answer["error"]) == (503, 3502)


async def test_a_mistake_of_ours_is_a_503(ask, monkeypatch, caplog, node, alice, lobby):
    async def fail(*args, **options):
        raise ZeroDivisionError

    monkeypatch.setattr("realtime.connection.joining.grants.prepare", fail)
    request = ask("room=lobby", alice)
    answer = await request.answer()
    assert (request.status, answer["error"]) == (503, 100)
    assert "ZeroDivisionError" in caplog.text
    assert not node.sessions


async def test_a_client_that_goes_while_it_is_let_in_leaves_nothing(
    ask, monkeypatch, node, alice, lobby
):
    begun, forever = asyncio.Event(), asyncio.Event()

    async def hang(*args, **options):
        begun.set()
        await forever.wait()

    monkeypatch.setattr("realtime.connection.joining.grants.prepare", hang)
    request = ask("room=lobby", alice)
    async with asyncio.timeout(SECONDS):
        await begun.wait()
    await request.end()
    assert not node.sessions
    assert not request.started
    forever.set()


async def test_strangers_are_limited(ask, settings, node, lobby):
    settings.REALTIME = {**settings.REALTIME, "UNAUTHENTICATED_PER_ADDRESS": 1}
    node.unauthenticated.enter("192.0.2.1")
    request = ask("room=lobby")
    answer = await request.answer()
    assert (request.status, answer["error"]) == (503, 3013)


async def test_a_user_has_no_more_streams_than_connections(ask, settings, alice, lobby):
    settings.REALTIME = {**settings.REALTIME, "CONNECTIONS_PER_USER": 1}
    stream = ask("room=lobby", alice)
    await stream.next()
    second = ask("room=lobby", alice, headers=[(b"accept", b"text/event-stream")])
    answer = await second.answer()
    assert (second.status, answer["code"], answer["error"]) == (429, "limit_exceeded", 3504)
    await stream.end()
    assert (await ask("room=lobby", alice).next())["type"] == "joined"


async def test_a_client_that_comes_back_all_the_time_is_slowed_down(ask, settings, alice, lobby):
    settings.REALTIME = {**settings.REALTIME, "COMMANDS_PER_SECOND": 1, "COMMANDS_BURST": 4}
    statuses = []
    for _ in range(8):
        request = ask("room=lobby", alice)
        await request.begun_or_over()
        await request.end()
        statuses.append(request.status)
    assert statuses[0] == 200
    assert statuses[-1] == 503


async def test_many_who_come_and_go_leave_nothing(ask, node, alice, lobby):
    for _ in range(50):
        stream = ask("room=lobby", alice)
        await stream.next()
        await stream.end()
    assert not node.sessions
    others = {task.get_name() for task in asyncio.all_tasks()} - {asyncio.current_task().get_name()}
    assert not [name for name in others if "commands" in name or "late" in name]


async def test_a_body_is_not_read(ask, alice, lobby):
    request = ask("room=lobby", alice, body=b"x" * 100)
    answer = await request.answer()
    assert (request.status, answer["error"]) == (400, 3501)


@pytest.mark.parametrize(
    ("script_name", "root_path", "path", "is_ours"),
    [
        ("/app", "", "/app/realtime/sse/", True),
        ("/app", "", "/realtime/sse/", True),
        (None, "/app", "/app/realtime/sse/", True),
        (None, "", "/app/realtime/sse/", False),
    ],
)
async def test_streams_are_below_the_prefix_of_the_views(
    ask, settings, alice, lobby, script_name, root_path, path, is_ours
):
    settings.FORCE_SCRIPT_NAME = script_name
    request = ask("room=lobby", alice, path=path, root_path=root_path)
    await request.begun_or_over()
    assert (request.status == 200) is is_ours

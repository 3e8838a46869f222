"""Who is there: the same credentials, and the same refusals, for the clients of each protocol."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from rest_framework_simplejwt.tokens import RefreshToken

from realtime.authentication import verification
from realtime.codes import CloseCode, Error
from realtime.hub.node import get_node
from tests.support.protocol_clients import ORIGIN, Credential, Forbidden, needs

ALL_WAYS = ["subprotocol", "header", "connect", "ticket", "query", "session", "cookie"]
INVALID = CloseCode.INVALID_TOKEN
NOBODY = "nobody is signed in, and no token was sent"
FOREIGN = [
    b"http://evil.example",
    b"http://testserver:81",
    b"https://testserver",
    b"null",
    b"http://testserver.evil.example",
]
NOWHERE = ["/ws/x", "/ws/\r\nSet-Cookie: a=b", "/ws/\x1b[2J", "/" + "x" * 8_192, "/socket.io"]


def by_header(*values):
    return Credential(headers=tuple((b"authorization", value.encode()) for value in values))


def sessions_of(user):
    return [each for each in get_node().sessions if each.user_id == str(user.pk)]


@pytest.fixture
def every_way(settings):
    settings.REALTIME = {**settings.REALTIME, "CREDENTIALS": ALL_WAYS}


@needs("silence")
async def test_a_client_that_says_nothing_is_closed_in_time_and_is_never_present(site, settings):
    settings.REALTIME = {**settings.REALTIME, "CONNECT_SECONDS": 0.05}
    client = site.client()
    await client.open()
    code = await client.until_closed()
    assert code == (CloseCode.STALE if client.reports_codes else 400)
    assert not (await site.layer.presence("lobby")).clients


async def test_a_client_that_connects_without_a_credential_is_refused(site):
    client = site.client()
    assert await client.refusal(client.connect()) == (INVALID, NOBODY)
    assert not (await site.layer.presence("lobby")).clients


async def test_a_credential_proves_the_same_user_whichever_way_it_comes(site, every_way, alice):
    for way in site.kind.ways:
        make = {"ticket": site.ticket, "session": site.session}.get(way, site.token)
        value = await sync_to_async(make)(alice)
        client = await site.client().enter(Credential.by(way, value))
        [session] = sessions_of(alice)
        assert set(session.rooms) == {"lobby"}, way
        if way == "subprotocol" and client.name != "protobuf":
            assert client.accepted["subprotocol"] == "realtime.v1"
        await client.drop()
        await site.until_nothing_left()


async def test_two_credentials_at_once_are_refused(site, every_way, alice):
    token = site.token(alice)
    header = Credential.by("header", token).headers
    given = [
        by_header(f"Bearer {token}", f"Bearer {token}"),
        by_header(f"Bearer {token}, Bearer {token}"),
        Credential(headers=header, query=(("ticket", site.ticket(alice)),)),
        Credential(headers=header, query=(("token", token),)),
    ]
    if "connect" in site.kind.ways:
        given.append(Credential(headers=header, token=token))
    if "subprotocol" in site.kind.ways:
        both = ("realtime.v1", f"bearer.{token}")
        given.append(Credential(headers=header, subprotocols=both))
        given.append(Credential(subprotocols=(*both, f"bearer.{token}")))
    for credential in given:
        client = site.client()
        code, message = await client.refusal(client.connect(credential))
        assert (code, message) == (INVALID, "two credentials at once are ambiguous") or (
            # What Daphne makes of two headers.
            (code, message) == (INVALID, "the type of the Authorization header is not accepted")
        )


@needs("bearers")
async def test_a_bearer_subprotocol_needs_one_that_can_be_selected(site, alice):
    client = site.client()
    credential = Credential(subprotocols=(f"bearer.{site.token(alice)}",))
    code, message = await client.refusal(client.connect(credential))
    assert (code, "together with realtime.v1" in message) == (INVALID, True)


async def test_other_kinds_of_headers_and_ways_that_are_off_are_refused(site, alice):
    token = site.token(alice)
    given = [by_header(value) for value in ("Basic x", "Bearer", "", f"Token {token}")]
    for credential in (*given, Credential.by("query", token), Credential.by("cookie", token)):
        client = site.client()
        assert (await client.refusal(client.connect(credential)))[0] == INVALID
    await site.client().enter(by_header(f"bearer {token}"))


@needs("paths")
async def test_a_path_that_is_none_is_refused_with_one_line_in_the_log(site, alice, caplog):
    for path in (
        "/ws/x",
        "/ws/\r\nSet-Cookie: a=b",
        "/ws/\x1b[2J",
        "/" + "x" * 8_192,
        "/socket.io",
    ):
        caplog.clear()
        with pytest.raises(Forbidden):
            await site.client().open_at(path, site.credential(alice))
        [record] = [each for each in caplog.records if each.name == "realtime.routing"]
        said = record.getMessage()
        assert said.isprintable() and len(said) < 500
    assert not sessions_of(alice)


async def test_a_token_that_is_not_valid_is_refused_with_its_code(site, every_way, alice):
    refresh = await sync_to_async(RefreshToken.for_user)(alice)
    tokens = {
        site.token(alice, exp=1_000_000_000): Error.TOKEN_EXPIRED.code,
        site.secret(str(refresh)): INVALID,
        site.secret(site.token(alice)[:-6] + "AAAAAA"): INVALID,
        site.token(alice, user_id="1 OR 1=1"): INVALID,
        site.token(alice, user_id=[]): INVALID,
    }
    for way in set(site.kind.ways) & {"header", "connect", "query", "subprotocol"}:
        for token, expected in tokens.items():
            client = site.client()
            credential = Credential.by(way, token)
            code, message = await client.refusal(client.connect(credential))
            assert (code, bool(message)) == (expected, True), way
    assert not sessions_of(alice)


async def test_a_ticket_is_for_one_connection_of_an_active_user(site, alice):
    once = Credential.by("ticket", site.ticket(alice))
    clients = [site.client() for _ in range(3)]
    outcomes = await asyncio.gather(
        *(each.connect(once) for each in clients), return_exceptions=True
    )
    assert [getattr(each, "code", None) for each in outcomes].count(INVALID) == 2
    assert len(sessions_of(alice)) == 1
    unknown = Credential.by("ticket", site.secret("ticket-of-nobody"))
    late = Credential.by("ticket", site.ticket(alice))
    alice.is_active = False
    await alice.asave()
    for credential in (once, unknown, late):
        client = site.client()
        assert (await client.refusal(client.connect(credential)))[0] == INVALID
    await site.until(lambda: not sessions_of(alice))


async def test_a_page_of_another_origin_gets_no_connection(site, every_way, alice):
    session = await sync_to_async(site.session)(alice)
    header = Credential.by("header", site.token(alice)).headers
    for origin in FOREIGN:
        for headers in (header, ((b"cookie", f"sessionid={session}".encode()),)):
            with pytest.raises(Forbidden):
                await site.client().connect(Credential(headers=(*headers, (b"origin", origin))))
    with pytest.raises(Forbidden):
        await site.client().connect(Credential(headers=(*header, ORIGIN, ORIGIN)))
    cookie = (b"cookie", f"access_token={site.token(alice)}".encode())
    with pytest.raises(Forbidden):  # a cookie needs an Origin
        await site.client().connect(Credential(headers=(cookie,)))
    assert not sessions_of(alice)
    await site.client().enter(Credential(headers=(*header, ORIGIN)))


async def test_a_client_that_is_cut_before_it_says_who_it_is_leaves_nothing(site, alice):
    client = site.client()
    if client.has("silence"):
        await client.open()
    await site.is_left_by(client)


async def test_a_client_that_is_cut_during_the_look_up_leaves_nothing(site, alice, monkeypatch):
    began, go_on = asyncio.Event(), asyncio.Event()
    look_up = verification.authenticate

    async def wait(token):
        began.set()
        await go_on.wait()
        return await look_up(token)

    monkeypatch.setattr("realtime.middleware._RESOLVERS", {"header": wait})
    monkeypatch.setattr(verification, "authenticate", wait)
    for way in set(site.kind.ways) & {"header", "connect"}:
        began.clear()
        go_on.clear()
        client = site.client()
        connecting = asyncio.create_task(client.connect(Credential.by(way, site.token(alice))))
        async with asyncio.timeout(60):
            await began.wait()
        client.cut()
        go_on.set()
        await asyncio.gather(connecting, return_exceptions=True)
        await site.is_left_by(client)
        assert not sessions_of(alice)
        assert not (await site.layer.presence("lobby")).clients

"""Tokens that are verified with the keys of an issuer elsewhere, over real servers."""

import asyncio
import json
import time
import urllib.request
import uuid

import centrifuge
import pytest
import websockets

from tests.support.issuers import Issuer, Key, forgeries
from tests.support.outcomes import outcomes_at


@pytest.fixture(scope="module", params=["RS256", "ES256"])
def started(request, start_site):
    algorithm, server = request.param, {"RS256": "uvicorn", "ES256": "daphne"}[request.param]
    issuer = Issuer(algorithm)
    settings = f"tests.settings.{algorithm.lower()}"
    site = start_site(server, redis=True, DJANGO_SETTINGS_MODULE=settings, JWK_URL=issuer.url)
    yield issuer, site
    site.process.stop()
    issuer.stop()


@pytest.fixture
def issuer(started):
    yield started[0]
    started[0].heal()


@pytest.fixture
def site(started):
    return started[1]


@pytest.fixture
def claims(issuer):
    def _claims(user="alice", **more):
        if issuer.key.algorithm == "RS256":  # as of an OpenID provider
            who = {"sub": user, "iss": "https://login.example.com", "aud": "realtime"}
        else:  # as of another Django site
            who = {"user_id": user, "token_type": "access", "jti": uuid.uuid4().hex}
        return {**who, **more}

    return _claims


@pytest.fixture
def issue(issuer, claims, secrets):
    """`issue("bob", key=…, lifetime=…, kid=…)`: a token made by PyJWT."""

    def _issue(user="alice", *, key=None, **options):
        token = (key or issuer.key).sign(claims(user), **options)
        secrets.add(token)
        return token

    return _issue


@pytest.fixture
def outcomes(site):
    async def _outcomes(*tokens):
        return await outcomes_at(site.ws_url, *tokens)

    return _outcomes


async def test_keys_verify_tokens_of_jsonwebtoken(
    issuer, claims, outcomes, open_client, run_node, secrets
):
    key = issuer.key
    options = {"algorithm": key.algorithm, "keyid": key.id, "expiresIn": 60}
    expected = {
        "connected": {},
        109: {"options": {**options, "expiresIn": -10}},
        3500: {"options": {**options, "keyid": "another"}},
        "narrowed": {"claims": claims(scope="realtime:join:lobby")},
    }
    plain = {"claims": claims(), "key": key.private_pem, "options": options}
    requests = json.dumps([plain | changes for changes in expected.values()])
    *tokens, narrow = run_node("sign.mjs", REQUESTS=requests)
    secrets.update([*tokens, narrow])
    assert await outcomes(*tokens) == list(expected)[:3]
    client = await open_client(narrow)
    assert "subscribe" in await client.call(subscribe={"channel": "lobby"})
    for refused in (
        await client.call(publish={"channel": "lobby", "data": 1}),
        await client.call(subscribe={"channel": "announcements"}),
    ):
        assert refused["error"]["code"] == 103


async def test_keys_are_fetched_once_for_all_who_connect(issuer, issue, outcomes):
    issuer.rotate()
    before = issuer.requests
    for _ in range(2):
        assert await outcomes(*(issue() for _ in range(30))) == ["connected"] * 30
    assert issuer.requests == before + 1


async def test_keys_are_fetched_again_after_a_rotation(issuer, issue, outcomes):
    assert await outcomes(issue()) == ["connected"]
    old = issuer.rotate()
    assert await outcomes(issue(), issue()) == ["connected"] * 2
    assert await outcomes(issue(key=old), issue(key=old, lifetime=-10)) == [3500, 109]


async def test_keys_are_not_fetched_for_each_name_that_somebody_makes_up(issuer, issue, outcomes):
    assert await outcomes(issue()) == ["connected"]
    before, started = issuer.requests, time.monotonic()
    made_up = [issue(key=Key("ES256"), kid=uuid.uuid4().hex) for _ in range(3)]
    made_up += [issue(kid=uuid.uuid4().hex) for _ in range(40)]
    assert set(await outcomes(*made_up)) == {3500}
    assert await outcomes(issue()) == ["connected"]
    assert issuer.requests - before <= 1 + (time.monotonic() - started)


async def test_keys_refuse_forgeries(issuer, issue, outcomes):
    good = issue()
    assert await outcomes(good) == ["connected"]
    before = issuer.requests
    issuer.hang()  # a token that waited for it would be answered with 3004
    forged = forgeries(issuer.key, good)
    answers = await outcomes(*forged.values())
    assert dict(zip(forged, answers, strict=True)) == dict.fromkeys(forged, 3500)
    assert issuer.requests == before


async def test_keys_hold_up_only_who_needs_a_new_one_while_the_issuer_hangs(
    issuer, issue, outcomes, open_client, site
):
    old = issuer.key
    alice, bob = await open_client(issue()), await open_client(issue("bob"))
    await bob.call(subscribe={"channel": "lobby"})
    issuer.rotate()
    issuer.hang()
    waiting = [asyncio.create_task(outcomes(issue())) for _ in range(8)]
    await issuer.until_asked()
    assert "subscribe" in await alice.call(subscribe={"channel": "lobby"})
    assert "publish" in await alice.call(publish={"channel": "lobby", "data": "hi"})
    assert (await bob.publication())["data"] == "hi"
    assert await outcomes(*(issue("carol", key=old) for _ in range(8))) == ["connected"] * 8
    assert not any(task.done() for task in waiting)
    # Who is connected stays so when the new token can't be checked in time.
    late = await alice.call(refresh={"token": issue()})
    assert (late["error"]["code"], late["error"]["temporary"]) == (100, True)
    assert await asyncio.gather(*waiting) == [[3004]] * 8
    issuer.heal()
    assert await outcomes(issue()) == ["connected"]
    assert "refresh" in await alice.call(refresh={"token": issue()})
    assert "publish" in await alice.call(publish={"channel": "lobby", "data": "again"})


async def test_keys_let_the_sdk_in_when_the_issuer_is_back(issuer, issue, site):
    issuer.rotate()
    issuer.fail()
    before = issuer.requests

    async def get_token():
        return issue()

    client = centrifuge.Client(site.ws_url, get_token=get_token, min_reconnect_delay=0.1)
    async with asyncio.timeout(60):
        await client.connect()
        await issuer.until_requests(before + 2)  # it was sent away, and has come back
        issuer.heal()
        await client.ready()
        await client.disconnect()
        # The SDK closes its sockets in tasks of its own.
        if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(tasks)


async def test_keys_that_can_not_be_read_are_a_reason_to_come_back(issuer, issue, site):
    issuer.rotate()
    issuer.fail()
    url, header = site.ws_url + "rooms/lobby/", {"Authorization": f"Bearer {issue()}"}
    async with websockets.connect(url, additional_headers=header) as socket:
        assert json.loads(await socket.recv())["code"] == 3004
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 3004
    issuer.heal()
    async with websockets.connect(url, additional_headers=header) as socket:
        assert json.loads(await socket.recv())["type"] == "joined"


async def test_keys_open_the_http_endpoints_too(issue, site, open_client, secrets):
    request = urllib.request.Request(
        site.url + "/realtime/ticket/",
        method="POST",
        headers={"Authorization": f"Bearer {issue()}"},
    )
    with await asyncio.to_thread(urllib.request.urlopen, request, timeout=60) as response:
        ticket = json.load(response)["ticket"]
    secrets.add(ticket)
    client = await open_client(path=f"?ticket={ticket}")
    assert "connect" in client.reply

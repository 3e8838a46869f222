"""The view for back-channel logout that `docs/oauth.md` shows."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.test import RequestFactory

from realtime.authentication import Identity
from realtime.codes import CloseCode
from realtime.layers import get_layer
from tests.support.issuers import Issuer, Key
from tests.support.sessions import call
from tests.support.settings_of_docs import functions_of

pytestmark = pytest.mark.django_db(transaction=True)

EVENT = {"http://schemas.openid.net/event/backchannel-logout": {}}
CLAIMS = {
    "iss": "https://id.example.com/realms/shop",
    "aud": "web",
    "sub": "alice",
    "sid": "phone",
    "jti": "1",
    "events": EVENT,
}


@pytest.fixture(scope="module")
def issuer():
    issuer = Issuer("RS256")
    yield issuer
    issuer.stop()


@pytest.fixture
def hub_layer(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
    return get_layer()


@pytest.fixture
def report(settings, issuer):
    """`await report(token)`: the status with which the site answers the provider."""
    settings.SIMPLE_JWT = {"JWK_URL": issuer.url, "ALGORITHM": "RS256", "ISSUER": CLAIMS["iss"]}
    settings.REALTIME = {**settings.REALTIME, "AUTHORIZED_PARTIES": ["web"]}
    view = functions_of("oauth.md", "Back-channel logout")["signed_out_elsewhere"]

    async def _report(token, **more):
        words = {"logout_token": token} if token is not None else {}
        answer = await sync_to_async(view)(RequestFactory().post("/", words, **more))
        return answer.status_code

    return _report


@pytest.fixture
async def connections(open_session, node, alice):
    """Of two sign-ins, the phone and the desk."""
    made = []
    for sign_in in ("phone", "desk"):
        session = open_session(Identity(alice, session_id=sign_in))
        node.sessions.add(session)
        await call(session, connect={})
        made.append(session)
    return made


async def test_it_ends_the_connections_of_the_session(report, issuer, connections):
    phone, desk = connections
    assert await report(issuer.sign(CLAIMS, typ="logout+jwt")) == 200
    async with asyncio.timeout(60):
        assert await phone.transport.until_closed() == CloseCode.INVALID_TOKEN
    assert desk.transport.closed is None


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another"},
        {"iss": "https://elsewhere.example.com"},
        {"events": {}},
        {"events": None},
        {"nonce": "1"},
        {"sid": None},
    ],
    ids=str,
)
async def test_it_believes_no_other_token(report, issuer, connections, changes):
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    assert await report(issuer.sign(claims)) == 400
    assert await report(issuer.sign(CLAIMS, lifetime=-60)) == 400
    assert await report(Key("RS256").sign(CLAIMS)) == 400
    assert await report("a.b.c") == await report(None) == 400
    assert all(session.transport.closed is None for session in connections)

"""What holds for each authenticator of this package: odd tokens, users who may not, expiry."""

import asyncio
import time
import uuid
from datetime import timedelta
from types import SimpleNamespace

import jwt
import pytest
from asgiref.sync import sync_to_async
from cryptography.hazmat.primitives import serialization
from django.conf import settings as site
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import AccessToken
from rest_framework_simplejwt import state
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.settings import api_settings

from realtime.authentication.verification import authenticate
from realtime.codes import CloseCode
from realtime.exceptions import AuthenticationError
from realtime.layers import get_layer
from tests.support.issuers import forgeries
from tests.support.sessions import call
from tests.support.settings_of_docs import settings_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hub_layer(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
    return get_layer()


@pytest.fixture
def bob():
    return User.objects.create_user("bob", password="secret")


def of_toolkit(user, lifetime=300):
    token = uuid.uuid4().hex
    AccessToken.objects.create(
        user=user,
        token=token,
        expires=timezone.now() + timedelta(seconds=lifetime),
        scope="realtime:join",
    )
    return token


def of_allauth(kind):
    def issue(user, lifetime=300):
        who = {"username": user.username, "password": "secret"}
        answer = Client().post("/_allauth/app/v1/auth/login", who, content_type="application/json")
        token = answer.json()["meta"][kind]
        if kind == "access_token" and lifetime != 300:
            claims = jwt.decode(token, options={"verify_signature": False})
            claims["exp"] = int(time.time()) + lifetime
            token = jwt.encode(claims, site.SIGNING_KEY, "RS256")
        return token

    return issue


ISSUERS = {
    "django-oauth-toolkit": of_toolkit,
    "Session tokens": of_allauth("session_token"),
    "The JWT strategy": of_allauth("access_token"),
}
EXPIRING = ["django-oauth-toolkit", "The JWT strategy"]


@pytest.fixture(params=ISSUERS)
def issue(request, settings, monkeypatch):
    """`await issue(alice, lifetime=60)`: a token, at a site with the settings of the page."""
    shown = settings_of("oauth.md")[request.param]
    settings.REALTIME = {**settings.REALTIME, **shown["REALTIME"]}
    if "HEADLESS_TOKEN_STRATEGY" in shown:
        settings.HEADLESS_TOKEN_STRATEGY = shown["HEADLESS_TOKEN_STRATEGY"]
    if "SIMPLE_JWT" in shown:
        key = site.SIGNING_KEY.public_key()
        backend = TokenBackend(shown["SIMPLE_JWT"]["ALGORITHM"], None, key)
        monkeypatch.setattr(state, "token_backend", backend)
    for name, value in shown.get("SIMPLE_JWT", {}).items():
        monkeypatch.setattr(api_settings, name, value)
    return sync_to_async(ISSUERS[request.param])


@pytest.fixture
def connect(open_session, node):
    async def _connect(token):
        session = open_session()
        node.sessions.add(session)
        await call(session, connect={"token": token})
        assert not session.is_connecting
        return session

    return _connect


async def refusal(token):
    with pytest.raises(AuthenticationError) as raised:
        await authenticate(token)
    return raised.value


ODD = ["", "x", "a.b", "a.b.c", "a.b.c.d.e", "..", "' OR 1=1 --", "\x00", "é", "x" * 8_192]


async def test_odd_tokens_are_refused(issue, alice):
    good = await issue(alice)
    flipped = good[:-5] + ("A" if good[-5] != "A" else "B") + good[-4:]
    for token in (*ODD, flipped, good + "=", f" {good}", "y" * 1_000_000):
        error = await refusal(token)
        assert error.error.code != 109
        assert good not in str(error)
    assert (await authenticate(good)).user == alice


@pytest.mark.parametrize("issue", ["The JWT strategy"], indirect=True)
async def test_forged_ones_are_refused(issue, alice):
    good = await issue(alice)
    pem = site.SIGNING_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    key = SimpleNamespace(id="", algorithm="RS256", public_pem=pem.decode(), jwk={})
    for token in forgeries(key, good).values():
        assert await refusal(token)


@pytest.mark.parametrize("why", ["deleted", "inactive", "refused by the rule"])
async def test_users_who_may_not_sign_in_are_refused(issue, alice, monkeypatch, why):
    token = await issue(alice)
    if why == "deleted":
        await alice.adelete()
    elif why == "inactive":
        await User.objects.aupdate(is_active=False)
    else:
        monkeypatch.setattr(api_settings, "USER_AUTHENTICATION_RULE", lambda user: False)
    assert await refusal(token)


async def test_a_refresh_can_not_change_the_user(issue, alice, bob, connect):
    session = await connect(await issue(alice))
    await call(session, refresh={"token": await issue(bob)})
    assert await session.transport.until_closed() == CloseCode.INVALID_TOKEN
    assert session.identity.user == alice


async def test_a_newer_token_of_the_same_user_is_taken(issue, alice, connect):
    session = await connect(await issue(alice))
    assert "refresh" in await call(session, refresh={"token": await issue(alice)})
    assert session.transport.closed is None


@pytest.mark.parametrize("issue", EXPIRING, indirect=True)
async def test_an_expired_token_asks_for_a_new_one(issue, alice):
    assert (await refusal(await issue(alice, lifetime=-5))).error.code == 109


@pytest.mark.parametrize("issue", EXPIRING, indirect=True)
async def test_a_connection_ends_when_its_token_does(issue, alice, settings, connect):
    settings.REALTIME = {**settings.REALTIME, "EXPIRY_GRACE_SECONDS": 0}
    session = await connect(await issue(alice, lifetime=1))
    assert await session.transport.until_closed() == CloseCode.EXPIRED


async def test_they_open_the_http_endpoints(issue, alice, async_client):
    for token, status in ((await issue(alice), 200), ("unknown", 401)):
        headers = {"Authorization": f"Bearer {token}"}
        answer = await async_client.get("/realtime/rooms/", headers=headers)
        assert answer.status_code == status


async def test_many_who_retry_with_a_refused_token_take_few_queries(issue, alice, count_queries):
    await issue(alice)
    with count_queries() as queries:
        await asyncio.gather(*(refusal(uuid.uuid4().hex) for _ in range(200)))
    assert len(queries) <= 10, queries

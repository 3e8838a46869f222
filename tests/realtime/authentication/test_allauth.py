"""Tokens of django-allauth headless: its own endpoints sign people in and out."""

import asyncio
import time

import jwt
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as site
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from rest_framework_simplejwt import state
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.settings import api_settings

from realtime.authentication.verification import authenticate
from realtime.codes import CloseCode
from realtime.control import session_watch
from realtime.exceptions import AuthenticationError
from realtime.layers import get_layer
from tests.support.sessions import call
from tests.support.settings_of_docs import settings_of

pytestmark = pytest.mark.django_db(transaction=True)

APP = "/_allauth/app/v1/auth/session"
WHO = {"username": "alice", "password": "secret"}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(session_watch, "SECOND_LOOK_SECONDS", 0)


@pytest.fixture
def hub_layer(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
    return get_layer()


@pytest.fixture
def use(settings, monkeypatch):
    """`use("Session tokens")`: the settings that the page shows under this heading."""

    def _use(heading):
        shown = settings_of("oauth.md")[heading]
        settings.REALTIME = {**settings.REALTIME, **shown["REALTIME"]}
        for name, value in shown.items():
            if name.startswith("HEADLESS_"):
                setattr(settings, name, value)
        simple_jwt = shown.get("SIMPLE_JWT", {})
        if simple_jwt:
            key = site.SIGNING_KEY.public_key()
            backend = TokenBackend(simple_jwt["ALGORITHM"], None, key)
            monkeypatch.setattr(state, "token_backend", backend)
        for name, value in simple_jwt.items():
            monkeypatch.setattr(api_settings, name, value)

    return _use


@pytest.fixture
def sign_in(client, alice):
    async def _sign_in():
        answer = await sync_to_async(client.post)(
            "/_allauth/app/v1/auth/login", WHO, content_type="application/json"
        )
        assert answer.status_code == 200, answer.content
        return answer.json()["meta"]

    return _sign_in


@pytest.fixture
def sign_out(client):
    async def _sign_out(meta):
        headers = {"X-Session-Token": meta["session_token"]}
        answer = await sync_to_async(client.delete)(APP, headers=headers)
        assert answer.status_code == 401, answer.content  # "you are not signed in any more"

    return _sign_out


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


class Test_session_tokens:
    @pytest.fixture(autouse=True)
    def settings_of_the_page(self, use):
        use("Session tokens")

    async def test_open_a_connection_until_the_sign_out(self, sign_in, connect, sign_out):
        first, second = await sign_in(), await sign_in()
        session = await connect(first["session_token"])
        other = await connect(second["session_token"])
        assert session.identity.user.username == "alice"
        await sign_out(first)
        assert await session.transport.until_closed() == CloseCode.INVALID_TOKEN
        assert other.transport.closed is None
        assert await refusal(first["session_token"])

    async def test_end_connections_when_the_session_is_deleted(self, sign_in, connect):
        session = await connect((await sign_in())["session_token"])
        await Session.objects.all().adelete()
        await session.node.control._session_watch.look()
        assert await session.transport.until_closed() == CloseCode.INVALID_TOKEN

    async def test_can_be_shown_again_on_the_open_connection(self, sign_in, connect):
        first, second = await sign_in(), await sign_in()
        session = await connect(first["session_token"])
        assert "refresh" in await call(session, refresh={"token": second["session_token"]})

    async def test_need_somebody_who_is_signed_in(self, sign_in):
        def create():
            store = SessionStore()
            store["account_login"] = {"stage": "mfa"}  # half way through
            store.create()
            return store.session_key

        for token in (await sync_to_async(create)(), "unknown", "' OR 1=1 --"):
            assert "not signed in" in (await refusal(token)).reason
        meta = await sign_in()
        await User.objects.aupdate(is_active=False)
        assert await refusal(meta["session_token"])

    async def test_of_a_crowd_take_two_queries_a_batch(self, sign_in, count_queries):
        tokens = [(await sign_in())["session_token"] for _ in range(10)]
        with count_queries() as queries:
            await asyncio.gather(*map(authenticate, tokens))
        assert len(queries) <= 2 * 3, queries

    async def test_may_come_from_a_strategy_of_the_site(self, sign_in, settings):
        meta = await sign_in()
        settings.HEADLESS_TOKEN_STRATEGY = f"{__name__}.Prefixed"
        assert (await authenticate(f"st-{meta['session_token']}")).user.username == "alice"
        assert "unknown" in (await refusal(meta["session_token"])).reason


def strategy():
    from allauth.headless.tokens.strategies.sessions import SessionTokenStrategy

    class Prefixed(SessionTokenStrategy):
        def lookup_session(self, session_token):
            if not session_token.startswith("st-"):
                return None
            return super().lookup_session(session_token.removeprefix("st-"))

    return Prefixed


Prefixed = strategy()


class Test_the_JWT_strategy:
    @pytest.fixture(autouse=True)
    def settings_of_the_page(self, use):
        use("The JWT strategy")

    async def test_opens_a_connection_until_the_sign_out(self, sign_in, connect, sign_out):
        first, second = await sign_in(), await sign_in()
        session = await connect(first["access_token"])
        other = await connect(second["access_token"])
        assert session.identity.user.username == "alice"
        await sign_out(first)
        assert await session.transport.until_closed() == CloseCode.INVALID_TOKEN
        assert other.transport.closed is None
        assert "has ended" in (await refusal(first["access_token"])).reason

    async def test_a_refreshed_token_stays_on_the_connection(self, sign_in, connect, client):
        meta = await sign_in()
        session = await connect(meta["access_token"])
        answer = await sync_to_async(client.post)(
            "/_allauth/app/v1/tokens/refresh",
            {"refresh_token": meta["refresh_token"]},
            content_type="application/json",
        )
        newer = answer.json()["data"]["access_token"]
        assert "refresh" in await call(session, refresh={"token": newer})
        assert session.transport.closed is None

    async def test_refresh_tokens_open_nothing(self, sign_in):
        meta = await sign_in()
        for token in (meta["refresh_token"], meta["session_token"]):
            assert await refusal(token)

    async def test_expired_tokens_ask_for_a_new_one(self, sign_in):
        meta = await sign_in()
        claims = jwt.decode(meta["access_token"], options={"verify_signature": False})
        ended = {**claims, "exp": int(time.time()) - 60}
        token = jwt.encode(ended, site.SIGNING_KEY, "RS256")
        assert (await refusal(token)).error.code == 109

    @pytest.mark.parametrize("sid", ["", "%%%", "AAAA", None, 5, ["a"], "A" * 4_000])
    async def test_an_odd_sid_opens_nothing(self, sign_in, sid):
        meta = await sign_in()
        claims = jwt.decode(meta["access_token"], options={"verify_signature": False})
        token = jwt.encode({**claims, "sid": sid}, site.SIGNING_KEY, "RS256")
        assert await refusal(token)

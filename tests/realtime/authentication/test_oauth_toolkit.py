"""Access tokens of django-oauth-toolkit, which its own endpoints issue, refresh and revoke.

Long, because the whole life of a token is one set of fixtures.
"""

import asyncio
import base64
import hashlib
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application, RefreshToken
from oauth2_provider.settings import oauth2_settings

from realtime.authentication.oauth_toolkit import AccessTokenAuthenticator
from realtime.authentication.tickets import identity_to_ticket, redeem
from realtime.authentication.verification import authenticate
from realtime.codes import CloseCode
from realtime.control import session_watch
from realtime.exceptions import AuthenticationError
from realtime.layers import get_layer
from tests.support.sessions import call
from tests.support.settings_of_docs import settings_of

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "a-secret-of-the-client"
CALLBACK = "https://app.example.com/callback"
VERIFIER = "v" * 64


@pytest.fixture(autouse=True)
def authenticator(settings, monkeypatch):
    shown = settings_of("oauth.md")["django-oauth-toolkit"]
    settings.REALTIME = {**settings.REALTIME, **shown["REALTIME"]}
    assert shown["OAUTH2_PROVIDER"]["SCOPES"].keys() <= settings.OAUTH2_PROVIDER["SCOPES"].keys()
    monkeypatch.setattr(session_watch, "SECOND_LOOK_SECONDS", 0)


@pytest.fixture
def hub_layer(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
    return get_layer()


@pytest.fixture
def application(alice):
    return Application.objects.create(
        client_id="app",
        client_secret=SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris=CALLBACK,
        skip_authorization=True,
    )


@pytest.fixture
def endpoint(client, application):
    """`await endpoint("token", grant_type=…)`: what an endpoint of the library answers."""

    async def _ask(path, **data):
        data |= {"client_id": "app", "client_secret": SECRET}
        response = await sync_to_async(client.post)(f"/o/{path}/", data)
        assert response.status_code == 200, response.content
        return response.json() if response.content else {}

    return _ask


@pytest.fixture
def sign_in(client, alice, endpoint):
    """A sign-in with the authorization code flow and PKCE: what the client of Alice gets."""

    def authorize(scope):
        client.force_login(alice)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())
        words = {
            "response_type": "code",
            "client_id": "app",
            "redirect_uri": CALLBACK,
            "scope": scope,
            "code_challenge": challenge.decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        answer = client.get("/o/authorize/", words)
        assert answer.status_code == 302, answer.content
        return parse_qs(urlsplit(answer["Location"]).query)["code"][0]

    async def _sign_in(scope="realtime:join realtime:publish"):
        code = await sync_to_async(authorize)(scope)
        words = {"code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return await endpoint("token", grant_type="authorization_code", **words)

    return _sign_in


@pytest.fixture
def connect(open_session, node):
    async def _connect(tokens):
        session = open_session()
        node.sessions.add(session)
        await call(session, connect={"token": tokens["access_token"]})
        assert not session.is_connecting
        return session

    return _connect


async def refusal(token):
    with pytest.raises(AuthenticationError) as raised:
        await authenticate(token)
    return raised.value


async def refreshed(endpoint, tokens):
    words = {"refresh_token": tokens["refresh_token"]}
    return await endpoint("token", grant_type="refresh_token", **words)


async def test_a_token_is_its_user_with_its_scopes(sign_in, alice):
    tokens = await sign_in("realtime:join")
    identity = await authenticate(tokens["access_token"])
    assert identity.user == alice
    assert identity.permits("join", "lobby")
    assert not identity.permits("publish", "lobby")
    assert abs(identity.expires_at - timezone.now().timestamp() - 300) < 60
    chat = await sign_in("chat read")
    assert (await authenticate(chat["access_token"])).permits("publish", "lobby")
    nothing = await sign_in("read")
    assert not (await authenticate(nothing["access_token"])).permits("join", "lobby")


async def test_refresh_tokens_and_others_open_nothing(sign_in):
    tokens = await sign_in()
    access = tokens["access_token"]
    for token in (tokens["refresh_token"], "unknown", access[:-1], access + "x", access.upper()):
        assert "unknown" in (await refusal(token)).reason


async def test_an_expired_token_asks_for_a_new_one(sign_in):
    tokens = await sign_in()
    await AccessToken.objects.aupdate(expires=timezone.now() - timedelta(seconds=1))
    assert (await refusal(tokens["access_token"])).error.code == 109


@pytest.mark.parametrize("spoil", ["inactive", "no user", "other resource", "not usable"])
async def test_what_the_library_refuses_opens_nothing(sign_in, spoil, monkeypatch):
    tokens = await sign_in()
    if spoil == "inactive":
        await User.objects.aupdate(is_active=False)
    elif spoil == "no user":
        await AccessToken.objects.aupdate(user=None)
    elif spoil == "other resource":
        await AccessToken.objects.aupdate(resource=["https://other.example.com/"])
    else:
        monkeypatch.setattr(Application, "is_usable", lambda self, request: request.uri != "")
    assert await refusal(tokens["access_token"])


class OfResource(AccessTokenAuthenticator):
    resource = "https://api.example.com/live"


@pytest.mark.parametrize(
    ("bound_to", "is_ours"),
    [("https://api.example.com/", True), ("https://other.example.com/", False)],
)
async def test_a_token_may_be_bound_to_this_resource(sign_in, settings, bound_to, is_ours):
    settings.REALTIME = {**settings.REALTIME, "AUTHENTICATOR": f"{__name__}.OfResource"}
    tokens = await sign_in()
    await AccessToken.objects.aupdate(resource=[bound_to])
    if is_ours:
        assert await authenticate(tokens["access_token"])
    else:
        assert "another resource" in (await refusal(tokens["access_token"])).reason


async def test_a_crowd_takes_three_queries_a_batch(application, count_queries):
    def issue():
        for number in range(100):
            user = User.objects.create(username=f"person{number}")
            AccessToken.objects.create(
                user=user,
                application=application,
                token=f"token-{number}",
                expires=timezone.now() + timedelta(seconds=300),
                scope="realtime:join",
            )

    await sync_to_async(issue)()
    with count_queries() as queries:
        found = await asyncio.gather(*(authenticate(f"token-{n}") for n in range(100)))
    assert [each.user.username for each in found] == [f"person{n}" for n in range(100)]
    assert len(queries) <= 3 * 3, queries


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_a_revoked_token_ends_its_connection_at_once(sign_in, connect, endpoint, which):
    tokens, others = await sign_in(), await sign_in()
    session, other = await connect(tokens), await connect(others)
    await endpoint("revoke_token", token=tokens[which])
    assert await session.transport.until_closed() == CloseCode.INVALID_TOKEN
    assert other.transport.closed is None
    assert await refusal(tokens["access_token"])


async def test_a_rollback_ends_nothing(sign_in, connect):
    session = await connect(await sign_in())

    def revoke_and_think_again():
        with transaction.atomic():
            AccessToken.objects.get().revoke()
            transaction.set_rollback(True)

    await sync_to_async(revoke_and_think_again)()
    await session.node.control._session_watch.look()
    assert session.transport.closed is None


async def test_the_deletion_of_an_application_ends_connections(sign_in, connect, application):
    session = await connect(await sign_in())
    await application.adelete()
    assert await session.transport.until_closed() == CloseCode.INVALID_TOKEN


async def test_a_refreshed_token_keeps_the_connection(sign_in, connect, endpoint):
    """The library deletes the old token. The client shows the new one a moment later."""
    tokens = await sign_in()
    session = await connect(tokens)
    newer = await refreshed(endpoint, tokens)
    assert await refusal(tokens["access_token"])
    await session.node.control._session_watch.look()
    assert session.transport.closed is None
    reply = await call(session, refresh={"token": newer["access_token"]})
    assert reply["refresh"]["ttl"] > 200
    await session.node.control._session_watch.look()
    assert session.transport.closed is None
    # From now on the connection is that of the newer token.
    await endpoint("revoke_token", token=newer["access_token"])
    assert await session.transport.until_closed() == CloseCode.INVALID_TOKEN


async def test_a_connection_that_did_not_refresh_ends_with_its_family(sign_in, connect, endpoint):
    tokens = await sign_in()
    session = await connect(tokens)
    newer = await refreshed(endpoint, tokens)
    await endpoint("revoke_token", token=newer["refresh_token"])
    await session.node.control._session_watch.look()
    assert await session.transport.until_closed() == CloseCode.INVALID_TOKEN


async def test_tokens_that_are_changed_in_place_keep_the_connection(
    sign_in, connect, endpoint, monkeypatch
):
    monkeypatch.setattr(oauth2_settings, "ROTATE_REFRESH_TOKEN", False)
    tokens = await sign_in()
    session = await connect(tokens)
    newer = await refreshed(endpoint, tokens)
    assert newer["access_token"] != tokens["access_token"]
    await session.node.control._session_watch.look()
    assert session.transport.closed is None
    assert "refresh" in await call(session, refresh={"token": newer["access_token"]})


async def test_what_is_deleted_without_a_signal_is_found_by_the_regular_look(sign_in, connect):
    session = await connect(await sign_in())
    await RefreshToken.objects.all().adelete()
    await sync_to_async(AccessToken.objects.all()._raw_delete)("default")
    await session.node.control._session_watch.look()
    assert await session.transport.until_closed() == CloseCode.INVALID_TOKEN


async def test_clearing_expired_tokens_ends_nothing(sign_in, connect, count_queries):
    session = await connect(await sign_in())
    await AccessToken.objects.aupdate(expires=timezone.now() - timedelta(days=30))
    await RefreshToken.objects.all().adelete()
    await sync_to_async(call_command)("cleartokens")
    assert not await AccessToken.objects.aexists()
    assert session.transport.closed is None


async def test_a_ticket_ends_with_its_token_too(sign_in, open_session, endpoint):
    tokens = await sign_in()
    kept = identity_to_ticket(await authenticate(tokens["access_token"]))
    session = open_session(await redeem(kept))
    session.node.sessions.add(session)
    await call(session, connect={})
    await endpoint("revoke_token", token=tokens["access_token"])
    assert await session.transport.until_closed() == CloseCode.INVALID_TOKEN


async def test_other_authenticators_announce_nothing(sign_in, settings, monkeypatch):
    await sign_in()
    settings.REALTIME = {}
    monkeypatch.setattr("realtime.control.oauth_signals.announce_after_commit", pytest.fail)
    await AccessToken.objects.all().adelete()


@pytest.mark.parametrize("token", ["' OR 1=1 --", "%", "_" * 255, "..", "0"])
async def test_odd_tokens_are_unknown(sign_in, token):
    await sign_in()
    assert "unknown" in (await refusal(token)).reason

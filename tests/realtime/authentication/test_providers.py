"""Tokens of well-known providers, with the settings that `docs/oauth.md` shows for each."""

import sys
from types import ModuleType

import pytest
from django.contrib.auth import get_user_model
from rest_framework_simplejwt import state
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.settings import api_settings

from realtime import checks
from realtime.authentication.verification import authenticate
from realtime.exceptions import AuthenticationError
from tests.support.issuers import Issuer
from tests.support.providers import PROVIDERS
from tests.support.sessions import call
from tests.support.settings_of_docs import functions_of, settings_of

PAGE = "oauth.md"
OTHER = "another"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def issuer():
    issuer = Issuer("RS256")
    yield issuer
    issuer.stop()


@pytest.fixture(params=PROVIDERS)
def provider(request, issuer, settings, monkeypatch):
    """The tokens of a provider, at a site with the settings of the page."""
    shown = settings_of(PAGE)[request.param]
    simple_jwt = shown["SIMPLE_JWT"]
    backend = TokenBackend(
        simple_jwt["ALGORITHM"],
        audience=simple_jwt.get("AUDIENCE"),
        issuer=simple_jwt["ISSUER"],
        jwk_url=issuer.url,
        leeway=simple_jwt["LEEWAY"],
    )
    monkeypatch.setattr(state, "token_backend", backend)
    for name, value in simple_jwt.items():
        monkeypatch.setattr(api_settings, name, value)
    settings.REALTIME = {**settings.REALTIME, **shown["REALTIME"]}
    module = ModuleType("mysite.users")
    module.user_of = functions_of(PAGE, "Users")["user_of"]
    monkeypatch.setitem(sys.modules, "mysite", ModuleType("mysite"))
    monkeypatch.setitem(sys.modules, "mysite.users", module)
    first = simple_jwt["ISSUER"]
    return PROVIDERS[request.param](
        issuer=first if isinstance(first, str) else first[0],
        client=shown["REALTIME"]["AUTHORIZED_PARTIES"][0],
        audience=simple_jwt.get("AUDIENCE"),
    )


@pytest.fixture
def sign(issuer, provider):
    """`sign("access", azp="another")`: a token of this kind, with changed claims."""

    def _sign(kind, **changes):
        made = getattr(provider, kind)
        if isinstance(made, str):
            return made
        claims, headers = made
        claims = {**claims, **changes}
        return issuer.sign({k: v for k, v in claims.items() if v is not ...}, **headers)

    return _sign


async def refusal(token):
    with pytest.raises(AuthenticationError) as raised:
        await authenticate(token)
    return raised.value.reason


async def test_an_access_token_opens_a_connection_again_and_again(sign, provider, open_session):
    for _ in range(2):
        session = open_session()
        await call(session, connect={"token": sign("access")})
        assert not session.is_connecting
        identity = session.identity
        assert {"realtime:join", "realtime:publish"} <= identity.scopes
        assert not identity.permits("moderate", "lobby")
    assert await get_user_model().objects.acount() == 1
    user = await get_user_model().objects.aget()
    assert provider.access[0][api_settings.USER_ID_CLAIM] in (
        user.username,
        user.username.replace(".", "|"),
    )
    assert not user.has_usable_password()


async def test_refresh_tokens_and_id_tokens_open_nothing(sign):
    reasons = [await refusal(sign(kind)) for kind in ("id", "refresh")]
    assert not await get_user_model().objects.aexists()
    assert all(reason for reason in reasons), reasons


@pytest.mark.parametrize("provider", ["Keycloak", "Amazon Cognito"], indirect=True)
async def test_their_kind_counts_whatever_their_audience_is(sign, provider):
    """As of a client that has itself as an audience."""
    audience = provider.audience or ...
    assert "not an access token" in await refusal(
        sign("id", aud=audience, client_id=provider.client)
    )
    if not isinstance(provider.refresh, str):
        assert "its typ is 'Refresh'" in await refusal(sign("refresh", aud=audience))


async def test_tokens_for_others_open_nothing(sign, provider):
    claim = "client_id" if "client_id" in provider.access[0] else "azp"
    assert "issued for another client" in await refusal(sign("access", **{claim: OTHER}))
    assert "does not say which client" in await refusal(sign("access", **{claim: ...}))
    stranger = sign("access", iss="https://elsewhere.example.com")
    assert await refusal(stranger) == "the token has another issuer"
    assert await refusal(sign("access", iss=...))
    if "aud" in provider.access[0]:
        assert await refusal(sign("access", aud=OTHER)) == "the token is for another audience"
        assert await refusal(sign("access", aud=[OTHER, f"{provider.audience}/"]))
        assert await refusal(sign("access", aud=...))
    assert not await get_user_model().objects.aexists()


async def test_an_expired_token_asks_for_a_new_one(sign, provider):
    issued_at = provider.common["iat"]
    with pytest.raises(AuthenticationError) as raised:
        await authenticate(sign("access", exp=issued_at - 30))
    assert raised.value.error.code == 109
    await authenticate(sign("access", exp=issued_at - 5))  # within LEEWAY


@pytest.mark.parametrize("provider", ["Auth0"], indirect=True)
async def test_the_other_profile_of_auth0_works_too(sign):
    assert (await authenticate(sign("access_of_rfc9068"))).user.username.startswith("auth0.")


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("Keycloak", ["another audience", "another audience"]),
        ("Auth0", ["another audience", "not valid"]),
        ("Entra ID", ["does not say which client", "not valid"]),
        ("Amazon Cognito", ["its token_use is 'id'", "not valid"]),
    ],
    indirect=["provider"],
)
async def test_the_reason_says_which_kind_of_token_it_is(sign, words):
    tokens = [sign(kind) for kind in ("id", "refresh")]
    reasons = [await refusal(token) for token in tokens]
    assert all(word in reason for word, reason in zip(words, reasons, strict=True)), reasons


def test_the_settings_pass_our_checks(provider):
    assert checks.check_settings() == []
    assert checks.check_audience() == []


def test_tokens_for_anybody_are_reported(provider, settings, monkeypatch):
    monkeypatch.setattr(api_settings, "AUDIENCE", None)
    settings.REALTIME = {}
    (message,) = checks.check_audience()
    assert message.id == "realtime.W031"
    assert "AUTHORIZED_PARTIES" in message.hint


def test_every_provider_of_the_page_is_tried():
    shown = [
        name for name, each in settings_of(PAGE).items() if "JWK_URL" in each.get("SIMPLE_JWT", {})
    ]
    assert shown == list(PROVIDERS)

"""Tokens that are signed with the key of access tokens but are not, or that come too early."""

import time
import uuid

import jwt
import pytest
from django.contrib.auth.models import User
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken
from rest_framework_simplejwt.utils import get_md5_hash_password

from realtime.authentication import SimpleJWTAuthenticator
from realtime.authentication.refusals import refusal
from realtime.exceptions import AuthenticationError, AuthenticationUnavailable

pytestmark = pytest.mark.django_db


@pytest.fixture
def of_a_provider(monkeypatch):
    """The settings for tokens from elsewhere, as the README gives them."""
    monkeypatch.setattr(api_settings, "TOKEN_TYPE_CLAIM", None)


@pytest.fixture
def sign(alice):
    def _sign(headers=None, **claims):
        now = int(time.time())
        payload = {
            "token_type": "access",
            "jti": uuid.uuid4().hex,
            "exp": now + 600,
            "user_id": str(alice.pk),
            "hash_password": get_md5_hash_password(alice.password),
            **claims,
        }
        payload = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(payload, api_settings.SIGNING_KEY, "HS256", headers=headers)

    return _sign


def outcome(token):
    try:
        return SimpleJWTAuthenticator().authenticate(token).user.get_username()
    except AuthenticationError as error:
        return f"refused: {error}"
    except AuthenticationUnavailable as error:
        return f"later: {error}"


def rooms(client, token):
    return client.get("/realtime/rooms/", headers={"Authorization": f"Bearer {token}"}).status_code


OTHER_KINDS = [
    {"token_use": "refresh"},
    {"token_use": "id"},
    {"token_use": ["access"]},
    {"token_type": "refresh"},
    {"typ": "Refresh"},
    {"typ": "ID"},
    {"typ": "Offline"},
    {"typ": "DPoP"},
    {"at_hash": "GSyaM2k0Bk4aYc3zyZuMsw"},
    {"c_hash": "GSyaM2k0Bk4aYc3zyZuMsw"},
    {"headers": {"typ": "logout+jwt"}},
    {"headers": {"typ": "application/logout+jwt"}},
    {"headers": {"typ": "secevent+jwt"}},
]
ACCESS = [
    {},
    {"token_use": "access"},
    {"token_type": "Bearer"},
    {"token_type": None},
    {"typ": "Bearer"},
    {"headers": {"typ": "at+jwt"}},
    {"headers": {"typ": "application/at+jwt"}},
    {"headers": {"typ": None}},
]


@pytest.mark.parametrize("claims", OTHER_KINDS, ids=str)
def test_other_kinds_of_tokens_are_refused(of_a_provider, sign, client, claims):
    token = sign(**claims)
    assert outcome(token).startswith("refused: not an access token")
    assert rooms(client, token) == 401


def test_a_token_that_is_bound_to_a_key_is_no_bearer_token(of_a_provider, sign):
    assert outcome(sign(cnf={"jkt": "0ZcOCORZNYy"})).startswith("refused: not a bearer token")
    assert outcome(sign(cnf={"x5t#S256": "bwcK0"})) == "alice"  # a proxy has seen the certificate


@pytest.mark.parametrize("claims", ACCESS, ids=str)
def test_access_tokens_are_known_by_what_issuers_write(of_a_provider, sign, client, claims):
    token = sign(**claims)
    assert outcome(token) == "alice"
    assert rooms(client, token) == 200


@pytest.mark.parametrize("claims", [{"token_use": "refresh"}, {"typ": "ID"}], ids=str)
def test_claims_count_also_where_simplejwt_checks_the_type(sign, claims):
    assert outcome(sign(**claims)).startswith("refused: not an access token")


def test_a_site_may_want_another_kind(monkeypatch, sign):
    """As of Cognito, whose ID tokens name the audience: SimpleJWT compares the claim."""

    class IDToken(AccessToken):
        token_type = "id"

    monkeypatch.setattr(api_settings, "TOKEN_TYPE_CLAIM", "token_use")
    monkeypatch.setattr(api_settings, "AUTH_TOKEN_CLASSES", [IDToken])
    assert outcome(sign(token_use="id")) == "alice"
    assert outcome(sign(token_use="access")).startswith("refused")


@pytest.mark.parametrize("claim", ["iat", "nbf"])
class Test_a_clock_that_is_ahead:
    @pytest.fixture(autouse=True)
    def leeway(self, monkeypatch):
        backend = AccessToken.for_user(User(pk=1)).get_token_backend()
        monkeypatch.setattr(backend, "leeway", 10)

    def test_by_less_than_the_leeway_does_not_matter(self, sign, claim):
        assert outcome(sign(**{claim: int(time.time()) + 5})) == "alice"

    @pytest.mark.parametrize("seconds", [30, 250])
    def test_by_more_is_a_reason_to_try_again(self, sign, claim, seconds):
        answer = outcome(sign(**{claim: int(time.time()) + seconds}))
        assert answer.startswith("later: the token is valid only in")
        assert "LEEWAY" in answer

    @pytest.mark.parametrize("seconds", [3_600, 4_000_000_000])
    def test_by_an_hour_is_refused(self, sign, claim, seconds):
        assert outcome(sign(**{claim: int(time.time()) + seconds})).startswith("refused: the token")

    def test_does_not_help_a_forgery(self, sign, claim):
        token = sign(**{claim: int(time.time()) + 30})
        forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
        assert outcome(forged) == "refused: the token is not valid"

    def test_is_temporary_also_for_an_authenticator_of_the_site(self, sign, claim):
        token = sign(**{claim: int(time.time()) + 30})
        with pytest.raises(jwt.ImmatureSignatureError) as raised:
            jwt.decode(token, api_settings.SIGNING_KEY, ["HS256"])
        assert isinstance(refusal(raised.value), AuthenticationUnavailable)

"""Subscription tokens: what is accepted as one, and where they are refused."""

import math
import time

import jwt
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from realtime.authentication import verification
from realtime.authentication.subscription_tokens import LONGEST_SECONDS, issue, verify
from realtime.exceptions import AuthenticationError
from tests.support.issuers import Key


def sign(key=None, algorithm="HS256", **changes):
    now = time.time()
    claims = {
        "token_type": "subscription",
        "channel": "lobby",
        "sub": "7",
        "iat": now,
        "exp": int(now) + 60,
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not ...}
    return jwt.encode(claims, key or api_settings.SIGNING_KEY, algorithm=algorithm)


def test_a_token_names_its_room_and_user_and_ends():
    token = issue("lobby", "7", 60)
    times = verify(token, room="lobby", user_id="7")
    assert abs(times.issued_at - time.time()) < 5
    assert 55 < times.ends_at - time.time() < 65
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims == {
        "token_type": "subscription",
        "channel": "lobby",
        "sub": "7",
        "iat": times.issued_at,
        "exp": times.ends_at,
    }


def test_another_service_that_has_the_key_may_sign_one():
    assert verify(sign(), room="lobby", user_id="7").ends_at == math.floor(time.time()) + 60


@pytest.mark.parametrize(
    "changes",
    [
        *[
            {"channel": "other"},
            {"channel": ["lobby"]},
            {"channel": ...},
            {"sub": "8"},
            {"sub": ...},
        ],
        *[{"sub": ""}, {"token_type": "access"}, {"token_type": "refresh"}, {"token_type": ...}],
        *[{"iat": ...}, {"iat": "now"}, {"iat": None}, {"iat": []}, {"iat": float("nan")}],
        *[{"exp": ...}, {"exp": "x"}, {"exp": 10**30}, {"exp": None}, {"iat": 0}, {"iat": -1e300}],
        *[{"iat": time.time() + 10**6}, {"nbf": time.time() + 10**6}],
        {"exp": int(time.time()) + LONGEST_SECONDS + 100},
        *[{"key": "x" * 40}, {"key": "x" * 64, "algorithm": "HS512"}],
    ],
)
def test_anything_else_is_refused(changes):
    with pytest.raises(AuthenticationError) as refused:
        verify(sign(**changes), room="lobby", user_id="7")
    assert refused.value.error.code != 109


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é.é.é", "x" * 1_000_000])
def test_what_is_no_token_is_refused(token):
    with pytest.raises(AuthenticationError):
        verify(token, room="lobby", user_id="7")


def test_nobody_has_one():
    with pytest.raises(AuthenticationError):
        verify(sign(sub=""), room="lobby", user_id="")


def test_one_that_has_ended_says_so():
    with pytest.raises(AuthenticationError) as refused:
        verify(sign(exp=int(time.time()) - 60), room="lobby", user_id="7")
    assert refused.value.error.code == 109


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind_is_checked", [True, False])
async def test_it_opens_no_connection_and_no_view(monkeypatch, kind_is_checked):
    user = await User.objects.acreate(username="alice")
    monkeypatch.setattr(api_settings, "USER_ID_CLAIM", "sub")
    if not kind_is_checked:
        monkeypatch.setattr(api_settings, "TOKEN_TYPE_CLAIM", None)
    token = issue("lobby", str(user.pk), 60)
    with pytest.raises(AuthenticationError):
        await verification.authenticate(token)
    with pytest.raises(InvalidToken):
        JWTAuthentication().get_validated_token(token.encode())


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [AccessToken, RefreshToken])
def test_other_tokens_are_none(kind):
    user = User.objects.create(username="alice")
    token = kind.for_user(user)
    token["channel"], token["sub"] = "lobby", str(user.pk)
    with pytest.raises(AuthenticationError):
        verify(str(token), room="lobby", user_id=str(user.pk))


@pytest.fixture
def simple_jwt(monkeypatch):
    """SimpleJWT's settings, which are read once."""

    def _simple_jwt(**settings):
        for name, value in settings.items():
            monkeypatch.setattr(api_settings, name, value)

    return _simple_jwt


def test_a_key_pair_of_the_site(simple_jwt):
    key = Key("RS256")
    simple_jwt(ALGORITHM="RS256", SIGNING_KEY=key.private_pem, VERIFYING_KEY=key.public_pem)
    token = issue("lobby", "7", 60)
    assert jwt.get_unverified_header(token)["alg"] == "RS256"
    assert verify(token, room="lobby", user_id="7")
    with pytest.raises(AuthenticationError):
        verify(sign(key="x" * 40), room="lobby", user_id="7")
    simple_jwt(SIGNING_KEY="none")
    with pytest.raises(ImproperlyConfigured, match="SIGNING_KEY"):
        issue("lobby", "7", 60)


def test_a_site_that_has_only_the_keys_of_an_issuer_signs_with_its_own(simple_jwt, settings):
    simple_jwt(ALGORITHM="RS256", JWK_URL="https://login.example.com/jwks")
    token = issue("lobby", "7", 60)
    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    assert verify(token, room="lobby", user_id="7")
    with pytest.raises(AuthenticationError):
        verify(sign(key=settings.SECRET_KEY), room="lobby", user_id="7")

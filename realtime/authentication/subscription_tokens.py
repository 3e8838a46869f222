"""Subscription tokens: JWTs with which the site lets one user into one room for some time.

They are signed with SimpleJWT's key, and are of a kind of their own: no access token is accepted in
their place, and they open no connection.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jwt
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac
from jwt.exceptions import ExpiredSignatureError, PyJWTError
from rest_framework_simplejwt.settings import api_settings

from ..conf import realtime_settings
from ..exceptions import AuthenticationError
from .refusals import CLAIM_ERRORS

KIND = "subscription"
LONGEST_SECONDS = 30 * 24 * 3600
"""As long as it is remembered that a token was taken back."""
_TYPE_CLAIM = "token_type"
_HEADER = {"typ": "subscription+jwt"}
"""Also for those who look only at the header. SimpleJWT asks for a `jti`, which there is not."""


class Times(NamedTuple):
    """When a token was issued and ends, as Unix times in seconds."""

    issued_at: float
    ends_at: float


def issue(room: str, user_id: str, seconds: float) -> str:
    """Return a token. Raises `ImproperlyConfigured` if the site has no key to sign with."""
    now = time.time()
    claims = {
        _TYPE_CLAIM: KIND,
        "channel": room,
        "sub": user_id,
        "iat": round(now, 3),
        "exp": math.ceil(now + seconds),
    }
    algorithm, key, _ = _keys()
    try:
        return jwt.encode(claims, key, algorithm=algorithm, headers=_HEADER)
    except (PyJWTError, ValueError, TypeError) as error:
        raise ImproperlyConfigured(
            f"A subscription token can't be signed: {error}. Set SIMPLE_JWT['SIGNING_KEY'] to the "
            f"private key of {algorithm}."
        ) from error


def verify(token: str, *, room: str, user_id: str) -> Times:
    """Return the times of a token for this room and user. Raises `AuthenticationError`."""
    if len(token) > realtime_settings.TOKEN_MAX_BYTES:
        raise AuthenticationError("the subscription token is too long")
    algorithm, _, key = _keys()
    try:
        claims = jwt.decode(token, key, algorithms=[algorithm], options=_OPTIONS)
        return _times(claims, room, user_id)
    except ExpiredSignatureError as error:
        raise AuthenticationError("the subscription token has expired", expired=True) from error
    except (PyJWTError, *CLAIM_ERRORS) as error:
        raise AuthenticationError("the subscription token is not valid") from error


# Issuers' clocks differ by milliseconds, and `iat` has them.
_OPTIONS: Any = {
    "require": ["exp", "iat", "sub", "channel", _TYPE_CLAIM],
    "verify_aud": False,
    "verify_iat": False,
}


def _times(claims: Mapping[str, Any], room: str, user_id: str) -> Times:
    if claims[_TYPE_CLAIM] != KIND:
        raise ValueError("a token of another kind")
    if claims["channel"] != room or not user_id or claims["sub"] != user_id:
        raise ValueError("a token for another room or user")
    times = Times(float(claims["iat"]), float(claims["exp"]))
    if not 0 <= times.ends_at - times.issued_at <= LONGEST_SECONDS + 1:
        raise ValueError("a token that is valid for too long")
    return times


def _keys() -> tuple[str, Any, Any]:
    """The algorithm, and the keys to sign and to verify with.

    The keys of an issuer elsewhere are not ours: a site that has only those signs with a key that
    is derived from Django's.
    """
    algorithm: str = api_settings.ALGORITHM
    if algorithm.startswith("HS"):
        return algorithm, api_settings.SIGNING_KEY, api_settings.SIGNING_KEY
    if api_settings.JWK_URL or not api_settings.VERIFYING_KEY:
        key = salted_hmac(
            "realtime.subscription", "", secret=settings.SECRET_KEY, algorithm="sha256"
        ).digest()
        return "HS256", key, key
    return algorithm, api_settings.SIGNING_KEY, api_settings.VERIFYING_KEY

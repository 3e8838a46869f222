"""Verifies access tokens by the settings of SimpleJWT, many at once."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import jwt
from django.contrib.auth import get_user_model
from jwt.exceptions import (
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    PyJWKClientConnectionError,
)
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import (
    AuthenticationFailed,
    ExpiredTokenError,
    TokenError,
)
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token

from ..changes import changes
from ..exceptions import AuthenticationError, AuthenticationUnavailable
from . import claims, unknown_users, users
from .batch import BatchAuthenticator
from .identity import Identity, identity_from_claims, permitted
from .refusals import CLAIM_ERRORS, is_caused_by, outcome
from .token_kinds import require_access_token

EARLY_MAX_SECONDS = 300
"""How far the clock of an issuer may be ahead for its tokens to be worth another attempt."""

_FOR_OTHERS: tuple[tuple[type[Exception], str], ...] = (
    (InvalidAudienceError, "the token is for another audience"),
    (InvalidIssuerError, "the token has another issuer"),
)
"""Errors of tokens with a valid signature. ID tokens have the client as their audience."""


class SimpleJWTAuthenticator(BatchAuthenticator):
    """Turns access tokens into identities, following the settings of SimpleJWT.

    A site with other tokens sets `REALTIME["AUTHENTICATOR"]` to a class with a method
    `authenticate`: a plain method, which may block because it runs in a thread, or an `async def`.
    To refuse a token it may also raise the exceptions of Django, DRF, SimpleJWT and PyJWT for that.
    After any other exception the client is asked to try again later.
    """

    takes_own_tokens = True
    """Whether it takes tokens that SimpleJWT signs on this site, as `POST token/` gives them."""

    def authenticate_many(self, raw_tokens: list[str]) -> list[Identity | Exception]:
        """Authenticate many tokens with one query for all their users."""
        tokens = [outcome(_validated, raw_token) for raw_token in raw_tokens]
        known = outcome(_find_users, [token for token in tokens if isinstance(token, Token)])
        return [
            outcome(_identity, token, known) if isinstance(token, Token) else token
            for token in tokens
        ]


def _validated(raw_token: str) -> Token:
    """Verify a token like `JWTAuthentication.get_validated_token`, but with separate errors for an
    expired token, a forged token and a key server that is unavailable."""
    expired, reason = False, "the token is not valid"
    for token_class in api_settings.AUTH_TOKEN_CLASSES:
        try:
            token: Token = token_class(raw_token.encode())
            require_access_token(token)
            claims.require(token.payload)
            return token
        except ExpiredTokenError:
            expired = True
        except TokenError as error:
            if is_caused_by(error, PyJWKClientConnectionError):
                raise AuthenticationUnavailable("the issuer's keys can't be read") from error
            if is_caused_by(error, ImmatureSignatureError):
                raise _too_early(raw_token) from error
            reason = next((text for kind, text in _FOR_OTHERS if is_caused_by(error, kind)), reason)
    raise AuthenticationError(reason, expired=expired)


def _too_early(raw_token: str) -> AuthenticationError | AuthenticationUnavailable:
    """Return the error for a token, correctly signed, that is valid only later: "try again" if the
    clock of the issuer may be ahead of ours by more than SimpleJWT's `LEEWAY`."""
    claims = jwt.decode(raw_token, options={"verify_signature": False})
    seconds = max(int(claims.get("iat", 0)), int(claims.get("nbf", 0))) - time.time()
    if seconds > EARLY_MAX_SECONDS:
        return AuthenticationError(f"the token is not valid for another {seconds:.0f} s")
    return AuthenticationUnavailable(
        f"the token is valid only in {seconds:.0f} s: compare the clocks, or set SimpleJWT's LEEWAY"
    )


def _find_users(tokens: list[Token]) -> dict[str, users.KnownUser]:
    """Return the users of tokens by id. One query, or some more if an id is impossible."""
    plain = list({user_id for user_id in map(_user_id, tokens) if user_id is not None})
    return _find_by_ids(plain)


def _find_by_ids(ids: list[str | int]) -> dict[str, users.KnownUser]:
    try:
        return users.find(api_settings.USER_ID_FIELD, ids, users.manager_of_tokens())
    except CLAIM_ERRORS:
        if len(ids) < 2:
            return {}  # SimpleJWT refuses it later
    middle = len(ids) // 2
    return _find_by_ids(ids[:middle]) | _find_by_ids(ids[middle:])


def _user_id(token: Token) -> str | int | None:
    """Return the user id of a token, or None if the claim can't be an id."""
    claim = token.payload.get(api_settings.USER_ID_CLAIM)
    return claim if isinstance(claim, str | int) and not isinstance(claim, bool) else None


def _identity(token: Token, known: dict[str, users.KnownUser] | Exception) -> Identity:
    if isinstance(known, Exception):
        raise known
    version = changes.version
    authentication: Any = JWTAuthentication()
    user_id = _user_id(token)
    found = None if user_id is None else known.get(str(user_id))
    if found is not None:
        version = found.version
        authentication.user_model = _OneUser(found.user)
    user = _user(authentication, token)
    return replace(identity_from_claims(permitted(user), token.payload), version=version)


def _user(authentication: Any, token: Token) -> Any:
    """Return the user of a token, found by SimpleJWT or else as `UNKNOWN_USERS` says."""
    model: Any = get_user_model()
    user_id = _user_id(token)
    try:
        user = authentication.get_user(token)
        if claims.names(user_id, user):
            return user
    except model.MultipleObjectsReturned as error:
        reason = f"several users have this {api_settings.USER_ID_FIELD}"
        raise AuthenticationError(reason) from error
    except AuthenticationFailed as error:
        if user_id is None or not isinstance(error.__cause__, model.DoesNotExist):
            raise
    user = unknown_users.admit(user_id, token.payload)
    authentication.user_model = _OneUser(user)
    return authentication.get_user(token)


class _OneUser:
    """Replaces the user model in SimpleJWT, to give it the user that was read already."""

    def __init__(self, user: Any) -> None:
        self._user = user
        self.DoesNotExist = type(user).DoesNotExist

    @property
    def objects(self) -> _OneUser:
        return self

    def get(self, **conditions: Any) -> Any:
        return self._user

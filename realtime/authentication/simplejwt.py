"""Access tokens of SimpleJWT, verified as its settings say, many at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jwt.exceptions import PyJWKClientConnectionError
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token

from ..changes import changes
from ..exceptions import AuthenticationError, AuthenticationUnavailable
from . import users
from .identity import Identity, identity_from_claims, permitted
from .refusals import ODD_CLAIMS, outcome


class SimpleJWTAuthenticator:
    """Turns access tokens into identities, honouring the settings of SimpleJWT.

    A site that gets its tokens elsewhere names a class with a method `authenticate` in
    `REALTIME["AUTHENTICATOR"]`: a plain one, which may block because it is called in a thread, or
    an `async def`. It may also refuse by what Django, DRF, SimpleJWT and PyJWT raise for that; of
    anything else it raises, the client is told to come back later.
    """

    def authenticate(self, raw_token: str) -> Identity:
        """Raises `AuthenticationError`, with `expired` set where a fresh token would help, and
        `AuthenticationUnavailable` where it could not be found out."""
        (answer,) = self.authenticate_many([raw_token])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def authenticate_many(self, raw_tokens: list[str]) -> list[Identity | Exception]:
        """As `authenticate`, for tokens that wait at the same time: one query for all users."""
        tokens = [outcome(_validated, raw_token) for raw_token in raw_tokens]
        known = outcome(_find_users, [token for token in tokens if isinstance(token, Token)])
        return [
            outcome(_identity, token, known) if isinstance(token, Token) else token
            for token in tokens
        ]


def _validated(raw_token: str) -> Token:
    """As `JWTAuthentication.get_validated_token`, whose one error does not tell an expired token
    from a forged one, nor a forged one from a key server that is away."""
    expired = False
    for token_class in api_settings.AUTH_TOKEN_CLASSES:
        try:
            token: Token = token_class(raw_token.encode())
            return token
        except ExpiredTokenError:
            expired = True
        except TokenError as error:
            if _is_caused_by(error, PyJWKClientConnectionError):
                raise AuthenticationUnavailable("the keys of the issuer can't be read") from error
    raise AuthenticationError("the token is not valid", expired=expired)


def _is_caused_by(error: BaseException | None, kind: type[Exception]) -> bool:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error is not None


def _find_users(tokens: list[Token]) -> dict[str, users.KnownUser]:
    """The users of tokens, all with one query; an odd id among them costs some more."""
    plain = list({it for it in map(_user_id, tokens) if it is not None})
    return _find_by_ids(plain)


def _find_by_ids(ids: list[str | int]) -> dict[str, users.KnownUser]:
    try:
        return users.find(api_settings.USER_ID_FIELD, ids)
    except ODD_CLAIMS:
        if len(ids) < 2:
            return {}  # to be refused by SimpleJWT, as it would be alone
    middle = len(ids) // 2
    return _find_by_ids(ids[:middle]) | _find_by_ids(ids[middle:])


def _user_id(token: Token) -> str | int | None:
    """The user id of a token; None for one that is no id."""
    named = token.payload.get(api_settings.USER_ID_CLAIM)
    return named if isinstance(named, str | int) and not isinstance(named, bool) else None


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
    user = authentication.get_user(token)
    return replace(identity_from_claims(permitted(user), token.payload), version=version)


class _OneUser:
    """Stands in for the user model where SimpleJWT reads the one user that was read already."""

    def __init__(self, user: Any) -> None:
        self._user = user
        self.DoesNotExist = type(user).DoesNotExist

    @property
    def objects(self) -> _OneUser:
        return self

    def get(self, **conditions: Any) -> Any:
        return self._user

"""Who is it: from a credential to a Django user, through SimpleJWT."""

from __future__ import annotations

import hashlib
import json
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DatabaseError, DataError
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.module_loading import import_string
from jwt.exceptions import ExpiredSignatureError, InvalidTokenError, PyJWKClientConnectionError
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token

from . import signing_keys, users
from .changes import changes
from .conf import realtime_settings
from .exceptions import AuthenticationError, AuthenticationUnavailable
from .lookups import Lookups
from .threads import run_apart, run_in_thread, timeout

logger = logging.getLogger("realtime.authentication")

Result = TypeVar("Result")

# What SimpleJWT and the database raise for tokens that are signed but odd: a user id of a list or
# with a NUL, an expiry beyond the calendar.
ODD_CLAIMS = (
    ValueError,
    TypeError,
    OverflowError,
    AttributeError,
    KeyError,
    RecursionError,
    ValidationError,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a connection is, and until when. `scopes` None: the token narrows nothing."""

    user: Any
    token_id: str = ""
    session_id: str = ""
    scopes: frozenset[str] | None = None
    expires_at: float | None = None
    """Unix time in seconds; None for credentials that do not expire."""
    ambient: bool = False
    """Whether a browser sent the credential by itself, so that a token may take its place."""
    own_password: str = field(default="", compare=False)
    """Tells the password that was set by this sign-in itself, "" where none was."""
    version: int = field(default=-1, compare=False)
    """The `changes.version` before `user` was read."""

    @property
    def user_id(self) -> str:
        """The primary key as text; "" for an anonymous user."""
        return "" if self.user.pk is None else str(self.user.pk)

    def permits(self, action: str, room: str) -> bool:
        """Whether the token's scopes allow `action`: `realtime:join`, or for one room
        `realtime:join:lobby`. A scope never gives a right that the user does not have."""
        if self.scopes is None:
            return True
        return not self.scopes.isdisjoint({f"realtime:{action}", f"realtime:{action}:{room}"})


ANONYMOUS = Identity(AnonymousUser())


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
        (outcome,) = self.authenticate_many([raw_token])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def authenticate_many(self, raw_tokens: list[str]) -> list[Identity | Exception]:
        """As `authenticate`, for tokens that wait at the same time: one query for all users."""
        tokens = [_outcome(_validated, raw_token) for raw_token in raw_tokens]
        known = _outcome(_find_users, [token for token in tokens if isinstance(token, Token)])
        return [
            _outcome(_identity, token, known) if isinstance(token, Token) else token
            for token in tokens
        ]


def _outcome(function: Callable[..., Result], *args: Any) -> Result | Exception:
    """What `function` returns, or the error that a client is told."""
    try:
        return function(*args)
    except (AuthenticationError, AuthenticationUnavailable) as error:
        return error
    except AuthenticationFailed:
        return AuthenticationError("the user may not sign in with this token")
    except DatabaseError as error:
        # A user id that the column's type can't hold is the token's fault, an outage is not.
        if isinstance(error, DataError):
            return AuthenticationError("the token is not valid")
        return AuthenticationUnavailable("the database does not answer")
    except ODD_CLAIMS:
        return AuthenticationError("the token is not valid")
    except Exception as error:
        # A mistake of the site's code concerns one token, and not all that wait with it.
        return _unexpected(error)


def _unexpected(error: Exception) -> AuthenticationUnavailable:
    """Nothing is known of the token then, so it is neither taken nor refused for good."""
    global _reported_at
    now = time.monotonic()
    if now - _reported_at > REPORT_SECONDS:
        _reported_at = now
        # Without the text of the error, which may hold the token.
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.error("the authenticator raised %s, at\n%s", type(error).__qualname__, where)
    return AuthenticationUnavailable("the token could not be checked")


REPORT_SECONDS = 1.0
_reported_at = -REPORT_SECONDS


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
    except (DataError, *ODD_CLAIMS):
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
    return replace(identity_from_claims(_permitted(user), token.payload), version=version)


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


def identity_from_claims(user: Any, claims: Mapping[str, Any] | None) -> Identity:
    """The identity of `user` with the claims of an access token, or with none."""
    if claims is None:
        return Identity(user)
    return Identity(
        user=user,
        token_id=str(claims.get(api_settings.JTI_CLAIM, "")),
        session_id=str(claims.get("sid", "")),
        scopes=_scopes(claims),
        expires_at=float(claims["exp"]),
    )


def _permitted(user: Any) -> Any:
    # SimpleJWT applies this rule only when it issues tokens.
    if not api_settings.USER_AUTHENTICATION_RULE(user):
        raise AuthenticationError("the user is not active")
    return user


def _scopes(claims: Mapping[str, Any]) -> frozenset[str] | None:
    """The `scope` claim (RFC 8693: words split by spaces; a list is taken too)."""
    scope = claims.get("scope")
    if scope is None:
        return None
    words = scope.split() if isinstance(scope, str) else scope
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise AuthenticationError("the scope claim is not valid")
    return frozenset(words)


async def authenticate(raw_token: str) -> Identity:
    """The identity behind an access token.

    Raises `AuthenticationError`, or `AuthenticationUnavailable` when it can't be told in time.
    """
    if not raw_token or len(raw_token) > realtime_settings.TOKEN_MAX_BYTES:
        raise AuthenticationError("the token is not valid")
    if not raw_token.isascii():
        raise AuthenticationError("the token is not valid")
    try:
        return await _ask(raw_token)
    except (AuthenticationError, AuthenticationUnavailable):
        raise
    except (TimeoutError, DatabaseError) as error:
        raise AuthenticationUnavailable("the token could not be checked now") from error
    except (ExpiredTokenError, ExpiredSignatureError) as error:
        raise AuthenticationError("the token has expired", expired=True) from error
    except (AuthenticationFailed, PermissionDenied, TokenError, InvalidTokenError) as error:
        raise AuthenticationError("the token is not valid") from error
    except Exception as error:
        raise _unexpected(error) from error


async def _ask(raw_token: str) -> Identity:
    """Ask the authenticator, which may be the site's own: raises what that does."""
    authenticator = _authenticator(realtime_settings.AUTHENTICATOR)
    if isinstance(authenticator, SimpleJWTAuthenticator):
        await signing_keys.prepare(raw_token)
        # A subclass that changes only the other method wants to be asked by it.
        if type(authenticator).authenticate is SimpleJWTAuthenticator.authenticate:
            return await _tokens.ask(raw_token, raw_token)
    if not iscoroutinefunction(authenticator.authenticate):
        return await in_time(_accept, authenticator.authenticate, raw_token, run=run_apart)
    async with timeout():
        identity = await authenticator.authenticate(raw_token)
    return await in_time(_accept, lambda: identity)


def _accept(answer: Callable[..., Any], *args: Any) -> Identity:
    """Called in a thread, because `user` may still have to be read."""
    identity = answer(*args)
    if not isinstance(identity, Identity):
        raise TypeError("the authenticator returns no Identity")
    if not identity.user.is_anonymous:
        _permitted(identity.user)
    return identity


async def redeem(kept: bytes) -> Identity:
    """The identity that a ticket was given for. Raises as `authenticate`."""
    return await _tickets.ask(kept, kept)


async def in_time(
    function: Callable[..., Result],
    *args: Any,
    run: Callable[..., Awaitable[Result]] = run_in_thread,
) -> Result:
    """Run in a thread what finds out who it is, within `RIGHTS_SECONDS`."""
    try:
        async with timeout():
            return await run(function, *args)
    except TimeoutError as error:
        raise AuthenticationUnavailable("the user could not be looked up in time") from error
    except DatabaseError as error:
        raise AuthenticationUnavailable("the database does not answer") from error


async def _authenticate_many(raw_tokens: list[str]) -> list[Identity | Exception]:
    authenticator = _authenticator(realtime_settings.AUTHENTICATOR)
    # The keys are at hand, unless they grow old this very moment and SimpleJWT fetches them again.
    run = run_apart if signing_keys.are_elsewhere() else run_in_thread
    return await in_time(authenticator.authenticate_many, raw_tokens, run=run)


async def _redeem_many(tickets: list[bytes]) -> list[Identity | Exception]:
    return await in_time(identities_from_tickets, tickets)


_tokens: Lookups[str, Identity] = Lookups(_authenticate_many)
_tickets: Lookups[bytes, Identity] = Lookups(_redeem_many)


@cache
def _authenticator(path: str) -> Any:
    return import_string(path)()


def identity_to_ticket(identity: Identity) -> bytes:
    """What is kept of an identity while its ticket is unused. No token is kept."""
    return json.dumps(
        {
            "user": identity.user_id,
            "jti": identity.token_id,
            "sid": identity.session_id,
            "scopes": None if identity.scopes is None else sorted(identity.scopes),
            "exp": identity.expires_at,
            "password": password_digest(identity.user),
        }
    ).encode()


def identities_from_tickets(tickets: list[bytes]) -> list[Identity | Exception]:
    kept = [json.loads(ticket) for ticket in tickets]
    known = users.find("pk", {claims["user"] for claims in kept})
    return [_outcome(_identity_from_ticket, claims, known) for claims in kept]


def _identity_from_ticket(claims: dict[str, Any], known: dict[str, users.KnownUser]) -> Identity:
    """The identity of a redeemed ticket; its user must still be there and active."""
    found = known.get(claims["user"])
    if found is None:
        raise AuthenticationError("the user is gone")
    if password_digest(found.user) != claims["password"]:
        raise AuthenticationError("the password was changed meanwhile")
    scopes = claims["scopes"]
    return Identity(
        user=_permitted(found.user),
        token_id=claims["jti"],
        session_id=claims["sid"],
        scopes=None if scopes is None else frozenset(scopes),
        expires_at=claims["exp"],
        version=found.version,
    )


class _StoredSession(dict[str, Any]):
    """A session as it was stored. Django ends or renames one that it doubts, for which the browser
    would need an answer; here there is none to give, so nothing is written."""

    def flush(self) -> None: ...
    def cycle_key(self) -> None: ...


def identity_from_session(session_key: str) -> Identity:
    """The identity of a Django session. Raises `AuthenticationError` where nobody is signed in."""
    version = changes.version
    request: Any = HttpRequest()
    stored = import_string(f"{settings.SESSION_ENGINE}.SessionStore")(session_key)
    request.session = _StoredSession(stored.load())
    user = get_user(request)
    if not user.is_authenticated:
        raise AuthenticationError("the session is not signed in")
    return Identity(_permitted(user), session_id=django_sign_in(session_key), version=version)


def django_sign_in(session_key: str | None) -> str:
    """What the sign-in of a Django session is called where its key must not be seen."""
    if not session_key:
        return ""
    return "django:" + hashlib.sha256(session_key.encode()).hexdigest()[:32]


def password_digest(user: Any) -> str:
    """Tells one password of a user from the next, and nothing else."""
    password = str(getattr(user, "password", ""))
    return salted_hmac("realtime.password", password).hexdigest()[:16]


def still_valid(identity: Identity, user: Any) -> bool:
    """Whether `user`, the identity's user as read anew (None: gone), may stay connected with it."""
    if identity.user.is_anonymous:
        return True
    if user is None or not api_settings.USER_AUTHENTICATION_RULE(user):
        return False
    if getattr(user, "password", None) == getattr(identity.user, "password", None):
        return True
    # The password is another one. The sign-in lives that it was changed in.
    return identity.own_password != "" and identity.own_password == password_digest(user)


def user_info(user: Any) -> dict[str, Any]:
    """What others may see of a user beside the id: a display name, and never the e-mail address."""
    name = user.get_full_name() if hasattr(user, "get_full_name") else ""
    if not name and not user.is_anonymous:
        name = user.get_username()
    return {"name": name if name and "@" not in name else f"User {user.pk}"}


def public_info(user: Any) -> dict[str, Any]:
    """`REALTIME["USER_INFO"]` applied to `user`."""
    info: dict[str, Any] = import_string(realtime_settings.USER_INFO)(user)
    return info

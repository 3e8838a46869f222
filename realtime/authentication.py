"""Who is it: from a credential to a Django user, through SimpleJWT."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user, get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import DatabaseError, DataError
from django.http import HttpRequest
from django.utils.module_loading import import_string
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed, ExpiredTokenError, TokenError
from rest_framework_simplejwt.settings import api_settings

from .changes import changes
from .conf import realtime_settings
from .exceptions import AuthenticationError, AuthenticationUnavailable
from .threads import run_in_thread, timeout

# What SimpleJWT and the database raise for tokens that are signed but odd: a user id of a list or
# with a NUL, an expiry beyond the calendar.
_ODD_CLAIMS = (
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
    django_session: str = field(default="", repr=False)
    """The key of the Django session that is the credential, "" for a token."""
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
    """Turns an access token into an `Identity`, honouring the settings of SimpleJWT.

    A site that gets its tokens elsewhere names a class with the same method in
    `REALTIME["AUTHENTICATOR"]`. Called in a thread, so it may block.
    """

    def authenticate(self, raw_token: str) -> Identity:
        """Raises `AuthenticationError`; `expired` is set where a fresh token would help."""
        jwt = JWTAuthentication()
        try:
            token = jwt.get_validated_token(raw_token.encode())
            user = jwt.get_user(token)
            return identity_from_claims(_permitted(user), token.payload)
        except (AuthenticationFailed, TokenError) as error:
            expired = _is_expired(raw_token)
            raise AuthenticationError("the token is not valid", expired=expired) from error
        except DatabaseError as error:
            raise _unusable_claim_or_outage(error) from error
        except AuthenticationError:
            raise
        except _ODD_CLAIMS as error:
            raise AuthenticationError("the token is not valid") from error


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


def _is_expired(raw_token: str) -> bool:
    """Whether the token is good but for its time: SimpleJWT's own error does not tell."""
    for token_class in api_settings.AUTH_TOKEN_CLASSES:
        try:
            token_class(raw_token.encode())
        except ExpiredTokenError:
            return True
        except Exception:
            continue
    return False


def _unusable_claim_or_outage(error: DatabaseError) -> Exception:
    # A user id that the column's type can't hold is the token's fault, an outage is not.
    if isinstance(error, DataError):
        return AuthenticationError("the token is not valid")
    return AuthenticationUnavailable("the database does not answer")


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
    return await in_time(_authenticator(realtime_settings.AUTHENTICATOR).authenticate, raw_token)


async def in_time(function: Any, *args: Any) -> Identity:
    version = changes.version
    try:
        async with timeout():
            identity: Identity = await run_in_thread(function, *args)
            return replace(identity, version=version)
    except TimeoutError as error:
        raise AuthenticationUnavailable("the user could not be looked up in time") from error
    except DatabaseError as error:
        raise AuthenticationUnavailable("the database does not answer") from error


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
        }
    ).encode()


def identity_from_ticket(kept: bytes) -> Identity:
    """The identity of a redeemed ticket; its user must still be there and active."""
    claims = json.loads(kept)
    user = get_user_model()._default_manager.filter(pk=claims["user"]).first()
    if user is None:
        raise AuthenticationError("the user is gone")
    scopes = claims["scopes"]
    return Identity(
        user=_permitted(user),
        token_id=claims["jti"],
        session_id=claims["sid"],
        scopes=None if scopes is None else frozenset(scopes),
        expires_at=claims["exp"],
    )


def identity_from_session(session_key: str) -> Identity:
    """The identity of a Django session. Raises `AuthenticationError` where nobody is signed in."""
    request = HttpRequest()
    request.session = import_string(f"{settings.SESSION_ENGINE}.SessionStore")(session_key)
    user = get_user(request)
    if not user.is_authenticated:
        raise AuthenticationError("the session is not signed in")
    return Identity(
        _permitted(user), session_id=django_session_id(session_key), django_session=session_key
    )


def django_session_id(session_key: str) -> str:
    """What a Django session is called where its key must not be seen."""
    return hashlib.sha256(session_key.encode()).hexdigest()[:32]


def still_valid(identity: Identity, user: Any) -> bool:
    """Whether `user`, the identity's user as read anew (None: gone), may stay connected with it."""
    if identity.user.is_anonymous:
        return True
    if user is None or not api_settings.USER_AUTHENTICATION_RULE(user):
        return False
    if getattr(user, "password", None) == getattr(identity.user, "password", None):
        return True
    # The password is another one. Django lets the session live in which it was changed.
    try:
        return bool(identity.django_session and identity_from_session(identity.django_session))
    except AuthenticationError:
        return False


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

"""Who a connection is, until when, and what its credential leaves of the user's rights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.utils.crypto import salted_hmac
from rest_framework_simplejwt.settings import api_settings

from ..exceptions import AuthenticationError


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
    user_id: str = field(init=False, repr=False, compare=False)
    """The primary key as text; "" for an anonymous user."""

    def __post_init__(self) -> None:
        # Kept, because it is asked for with every message.
        object.__setattr__(self, "user_id", "" if self.user.pk is None else str(self.user.pk))

    def permits(self, action: str, room: str) -> bool:
        """Whether the token's scopes allow `action`: `realtime:join`, or for one room
        `realtime:join:lobby`. A scope never gives a right that the user does not have."""
        if self.scopes is None:
            return True
        return not self.scopes.isdisjoint({f"realtime:{action}", f"realtime:{action}:{room}"})


ANONYMOUS = Identity(AnonymousUser())


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


def _scopes(claims: Mapping[str, Any]) -> frozenset[str] | None:
    """The `scope` claim (RFC 8693: words split by spaces; a list is taken too)."""
    scope = claims.get("scope")
    if scope is None:
        return None
    words = scope.split() if isinstance(scope, str) else scope
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise AuthenticationError("the scope claim is not valid")
    return frozenset(words)


def permitted(user: Any) -> Any:
    """The same user. Raises `AuthenticationError` where it may not sign in."""
    # SimpleJWT applies this rule only when it issues tokens.
    if not api_settings.USER_AUTHENTICATION_RULE(user):
        raise AuthenticationError("the user is not active")
    return user


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

"""The identity of a connection: its user, expiry and scopes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.utils.crypto import salted_hmac
from rest_framework_simplejwt.authentication import default_user_authentication_rule
from rest_framework_simplejwt.settings import api_settings

from ..exceptions import AuthenticationError
from . import rehashing, scopes, users


@dataclass(frozen=True, slots=True)
class Identity:
    """The user of a connection, with the limits of the credential. `scopes` None: no limit."""

    user: Any
    token_id: str = ""
    session_id: str = ""
    scopes: frozenset[str] | None = None
    expires_at: float | None = None
    """Unix time in seconds; None for credentials that do not expire."""
    ambient: bool = False
    """Whether a browser added the credential by itself. A token may then replace it."""
    session_key: str = field(default="", repr=False, compare=False)
    """The key of the Django session that is the credential, to see when it ends; or ""."""
    own_password: str = field(default="", compare=False)
    """The digest of the password that this sign-in has set, or ""."""
    manager: str = field(default="", compare=False)
    """The name of the manager that finds the user; "" for the default manager of the user model."""
    version: int = field(default=-1, compare=False)
    """The `changes.version` before `user` was read."""
    granted: Mapping[str, float] | None = field(default=None, repr=False, compare=False)
    """The rooms that subscription tokens let it into, and until when, on the monotonic clock."""
    user_id: str = field(init=False, repr=False, compare=False)
    """The primary key as text; "" for an anonymous user."""

    def __post_init__(self) -> None:
        # Computed once, because every message needs it.
        object.__setattr__(self, "user_id", "" if self.user.pk is None else str(self.user.pk))

    def permits(self, action: str, room: str) -> bool:
        """Return whether the token's scopes allow `action`: `realtime:join`, or for one room
        `realtime:join:lobby`. A scope never gives a right that the user does not have."""
        if self.scopes is None:
            return True
        return not self.scopes.isdisjoint({f"realtime:{action}", f"realtime:{action}:{room}"})

    def granted_until(self, room: str) -> float | None:
        """Until when a subscription token lets the user into `room`, on the monotonic clock."""
        return None if self.granted is None else self.granted.get(room)

    def is_granted(self, room: str) -> bool:
        """Return whether a subscription token lets the user into `room` now."""
        until = self.granted_until(room)
        return until is not None and until > time.monotonic() and self.permits("join", room)


ANONYMOUS = Identity(AnonymousUser())


def identity_from_claims(user: Any, claims: Mapping[str, Any] | None) -> Identity:
    """Return the identity of `user` with the claims of an access token, or without claims."""
    if claims is None:
        return Identity(user)
    return Identity(
        user=user,
        token_id=str(claims.get(api_settings.JTI_CLAIM, "")),
        session_id=str(claims.get("sid") or ""),
        scopes=scopes.from_claims(claims),
        expires_at=float(claims["exp"]),
        manager=users.manager_of_tokens(),
    )


def permitted(user: Any) -> Any:
    """Return the same user; raise `AuthenticationError` if the user may not sign in."""
    # SimpleJWT applies this rule only when it issues tokens.
    if not api_settings.USER_AUTHENTICATION_RULE(user):
        raise AuthenticationError("the user is not active")
    return user


def has_own_rule() -> bool:
    """Return whether `USER_AUTHENTICATION_RULE` is code of the site."""
    return api_settings.USER_AUTHENTICATION_RULE is not default_user_authentication_rule


def password_digest(user: Any) -> str:
    """Return a digest that changes with the password and reveals nothing about it."""
    return digest(str(getattr(user, "password", "")))


def digest(password: str) -> str:
    """Return the digest of a password, as it is stored in the database."""
    return salted_hmac("realtime.password", password, algorithm="sha256").hexdigest()[:16]


def still_valid(identity: Identity, user: Any) -> bool:
    """Return whether the identity is still valid for `user`, its user from the database or None."""
    if identity.user.is_anonymous:
        return True
    if user is None or not api_settings.USER_AUTHENTICATION_RULE(user):
        return False
    if getattr(user, "password", None) == getattr(identity.user, "password", None):
        return True
    now = password_digest(user)
    if rehashing.latest(identity.user_id, password_digest(identity.user)) == now:
        return True
    # The password has changed. Only the sign-in that changed it stays valid.
    return identity.own_password != "" and (
        rehashing.latest(identity.user_id, identity.own_password) == now
    )

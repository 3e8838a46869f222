"""Checks of the claims of a verified token: the client that it was issued for, the e-mail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework_simplejwt.settings import api_settings

from ..conf import realtime_settings
from ..exceptions import AuthenticationError
from . import signing_keys

_OF_CLIENT = ("azp", "client_id", "cid", "appid")
"""Where issuers write the client. `azp` is of OpenID Connect, `client_id` of RFC 9068 and AWS
Cognito; `cid` is Okta's, `appid` that of Entra ID's tokens of version 1."""

_EMAIL = "email"


def require(claims: Mapping[str, Any]) -> None:
    """Raise `AuthenticationError` if a verified token was issued for another client, or if its user
    is found by an e-mail address that the issuer has not confirmed."""
    _require_client(claims)
    if api_settings.USER_ID_CLAIM == _EMAIL and are_from_elsewhere():
        _require_verified_email(claims)


def are_from_elsewhere() -> bool:
    """Return whether the settings are those for tokens of another issuer."""
    return api_settings.TOKEN_TYPE_CLAIM is None or signing_keys.are_external()


def names(value: Any, user: Any) -> bool:
    """Return whether the claim that names a user, `value`, is that of the user whom the database
    found with it. Some databases compare texts without case and accents: for them the subjects
    `Zoe` and `zoé` of an issuer would be the user `zoe`. Only addresses differ in case alone."""
    stored = getattr(user, api_settings.USER_ID_FIELD, value)
    if not (isinstance(stored, str) and isinstance(value, str) and are_from_elsewhere()):
        return True
    if api_settings.USER_ID_CLAIM == _EMAIL:
        return stored.casefold() == value.casefold()
    return stored == value


def has_verified_email(claims: Mapping[str, Any]) -> bool:
    # Amazon's documentation says it may be a text.
    return claims.get("email_verified") in (True, "true")


def _require_client(claims: Mapping[str, Any]) -> None:
    allowed = realtime_settings.AUTHORIZED_PARTIES
    if not allowed:
        return
    named = [claims[claim] for claim in _OF_CLIENT if claims.get(claim) is not None]
    if not named:
        raise AuthenticationError("the token does not say which client it was issued for")
    for client in named:
        if client not in allowed:
            raise AuthenticationError(f"the token was issued for another client: {client!r:.60}")


def _require_verified_email(claims: Mapping[str, Any]) -> None:
    if not has_verified_email(claims):
        raise AuthenticationError("the issuer has not verified the e-mail address of the user")

"""Refuses tokens of other kinds that are signed with the same key as access tokens."""

from __future__ import annotations

from typing import Any

import jwt
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token

from ..exceptions import AuthenticationError

# `token_type` is SimpleJWT's, `token_use` that of django-allauth and AWS Cognito, `typ` Keycloak's.
_CLAIMS = ("token_type", "token_use", "typ")
_OF_ACCESS = frozenset({"access", "access_token", "bearer", "jwt", "at+jwt"})
# OpenID Connect Core, 3.1.3.6 and 3.3.2.11: hashes of what was issued together with an ID token.
_OF_ID_TOKENS = ("at_hash", "c_hash")
# RFC 7519, 5.1; RFC 9068, 2.1. Logout tokens have `logout+jwt`, for example.
_HEADER_TYPES = frozenset({"", "jwt", "jose", "at+jwt"})


def require_access_token(token: Token) -> None:
    """Raise `AuthenticationError` if a verified token says that it is no access token: a refresh
    token, an ID token, a logout token."""
    verified = api_settings.TOKEN_TYPE_CLAIM
    for claim in _CLAIMS:
        kind = token.payload.get(claim)
        # SimpleJWT has compared this claim with the type of one of `AUTH_TOKEN_CLASSES`.
        if kind is None or claim == verified:
            continue
        if not isinstance(kind, str) or kind.lower() not in _OF_ACCESS:
            raise AuthenticationError(f"not an access token: its {claim} is {kind!r:.40}")
    if verified is not None:
        return
    for claim in _OF_ID_TOKENS:
        if claim in token.payload:
            raise AuthenticationError(f"not an access token: only an ID token has {claim}")
    if isinstance(bound_to := token.payload.get("cnf"), dict) and "jkt" in bound_to:
        # RFC 9449, 7.2: nobody may take it without a proof that the client has the key.
        raise AuthenticationError("not a bearer token: it is bound to a key of its client (DPoP)")
    if token.token is not None:
        _require_header_type(token.token)


def _require_header_type(raw_token: Any) -> None:
    kind = jwt.get_unverified_header(raw_token).get("typ") or ""
    if str(kind).lower().removeprefix("application/") not in _HEADER_TYPES:
        raise AuthenticationError(f"not an access token: its header has typ {kind!r:.40}")

"""Access tokens of django-oauth-toolkit, for sites that are an OAuth 2.0 provider themselves.

REALTIME = {"AUTHENTICATOR": "realtime.authentication.oauth_toolkit.AccessTokenAuthenticator"}
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

from django.utils.module_loading import import_string

from ..conf import realtime_settings
from ..databases import reads_up_to_date
from ..exceptions import AuthenticationError
from . import scopes, users
from .batch import BatchAuthenticator
from .identity import Identity, permitted
from .refusals import outcome

APP = "oauth2_provider"
PREFIX = "oauth2:"
"""Begins the key of an access token, and of its sign-in: the primary key of its row."""
_NO_FAMILY = "-"


class AccessTokenAuthenticator(BatchAuthenticator):
    """Turns access tokens into identities: the user of the row, and its scopes.

    `resource` is the URI of this site, for tokens that are bound to one (RFC 8707). Without it such
    tokens are refused.
    """

    resource: str = ""

    def authenticate_many(self, raw_tokens: list[str]) -> list[Identity | Exception]:
        rows = _rows(raw_tokens)
        families = _families([row.pk for row in rows.values()])
        known = users.find("pk", {row.user_id for row in rows.values() if row.user_id is not None})
        return [outcome(self._identity, rows.get(token), known, families) for token in raw_tokens]

    def _identity(
        self, row: Any, known: dict[str, users.KnownUser], families: dict[Any, Any]
    ) -> Identity:
        if row is None:
            raise AuthenticationError("the access token is unknown, or was revoked")
        if row.is_expired():
            raise AuthenticationError("the access token has expired", expired=True)
        self._require_usable(row)
        found = known.get(str(row.user_id))
        if found is None:
            raise AuthenticationError("the access token has no user")
        return Identity(
            permitted(found.user),
            token_id=str(row.pk),
            session_id=sign_in_of(row.pk),
            scopes=scopes.translated(row.scope.split()),
            expires_at=row.expires.timestamp(),
            session_key=f"{PREFIX}{row.pk}:{families.get(row.pk) or _NO_FAMILY}",
            version=found.version,
        )

    def _require_usable(self, row: Any) -> None:
        """Refuse what the library's own `validate_bearer_token` refuses."""
        if row.resource and not (self.resource and row.allows_audience(self.resource)):
            raise AuthenticationError("the access token is for another resource")
        application = row.application
        if application is not None and not application.is_usable(_request(self.resource)):
            raise AuthenticationError("the application of the access token is not usable")


def sign_in_of(token_pk: Any) -> str:
    """Return the sign-in of an access token: that of its connections."""
    return f"{PREFIX}{token_pk}"


def is_in_use() -> bool:
    """Return whether the access tokens of this library open connections."""
    try:
        authenticator = import_string(realtime_settings.AUTHENTICATOR)
    except ImportError:
        return False  # which a system check reports; revoking a token must work
    return isinstance(authenticator, type) and issubclass(authenticator, AccessTokenAuthenticator)


@reads_up_to_date
def living(keys: Collection[str]) -> set[str]:
    """Return which of these keys of access tokens have not been revoked.

    A token that was replaced by a newer one is gone, and its connections may stay until it expires:
    as long as its family has a refresh token.
    """
    of_token, of_family = {}, {}
    for key in keys:
        pk, _, family = key.removeprefix(PREFIX).partition(":")
        of_token[key] = pk
        if family != _NO_FAMILY:
            of_family[key] = family
    rows = _tokens().filter(pk__in=set(of_token.values()))
    there = set(map(str, rows.values_list("pk", flat=True)))
    found = {key for key, pk in of_token.items() if pk in there}
    families = {of_family[key] for key in of_family.keys() - found}
    if families:
        refreshable = _refresh_tokens().filter(token_family__in=families, revoked=None)
        alive = set(map(str, refreshable.values_list("token_family", flat=True)))
        found |= {key for key, family in of_family.items() if family in alive}
    return found


def is_replaced(refresh_token_pk: Any) -> bool:
    """Return whether a newer access token was made with this refresh token."""
    is_newer: bool = _tokens().filter(source_refresh_token=refresh_token_pk).exists()
    return is_newer


def refresh_token_of(token: Any) -> Any:
    """Return the primary key of the refresh token of an access token, or None."""
    return _refresh_tokens().filter(access_token=token.pk).values_list("pk", flat=True).first()


def _rows(raw_tokens: list[str]) -> dict[str, Any]:
    tokens = {hashlib.sha256(token.encode()).hexdigest(): token for token in raw_tokens}
    rows = _tokens().select_related("application").filter(token_checksum__in=list(tokens))
    return {tokens[row.token_checksum]: row for row in rows}


def _families(token_pks: list[Any]) -> dict[Any, Any]:
    """Return the family of each access token that has a refresh token."""
    if not token_pks:
        return {}
    found = _refresh_tokens().filter(access_token__in=token_pks)
    return dict(found.values_list("access_token", "token_family"))


def _tokens() -> Any:
    from oauth2_provider.models import get_access_token_model

    return get_access_token_model()._default_manager


def _refresh_tokens() -> Any:
    from oauth2_provider.models import get_refresh_token_model

    return get_refresh_token_model()._default_manager


def _request(uri: str) -> Any:
    """Return a request of oauthlib, which applications of the site may look at."""
    from oauthlib.common import Request

    return Request(uri)

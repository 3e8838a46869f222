"""Tokens as well-known providers issue them: the claims and headers that their documents show."""

import time
import uuid

SUBJECT = "8a7c2f1e-4c57-4b6c-9d0e-3f1a2b4c5d6e"
PERSON = {
    "name": "Alice Liddell",
    "given_name": "Alice",
    "family_name": "Liddell",
    "email": "alice@example.com",
    "email_verified": True,
}


class Provider:
    """The tokens of one sign-in: what the client gets in one answer of the token endpoint.

    `access`, `id` and `refresh` are pairs of claims and headers; a refresh token that is no JWT
    is a text.
    """

    words = "openid profile realtime:join realtime:publish"

    def __init__(self, issuer, client, audience):
        now = int(time.time())
        self.common = {"iss": issuer, "iat": now, "exp": now + 300, "sub": SUBJECT}
        self.client, self.audience = client, audience


class Keycloak(Provider):
    """https://www.keycloak.org/docs/latest/server_admin/#_oidc-token-categories"""

    @property
    def _session(self):
        return {
            **self.common,
            "jti": f"onrtac:{uuid.uuid4()}",
            "auth_time": self.common["iat"],
            "azp": self.client,
            "sid": str(uuid.uuid4()),
            "acr": "1",
        }

    @property
    def access(self):
        return {
            **self._session,
            **PERSON,
            "typ": "Bearer",
            "aud": [self.audience, "account"],
            "allowed-origins": ["https://www.example.com"],
            "realm_access": {"roles": ["offline_access", "uma_authorization"]},
            "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
            "scope": self.words,
            "preferred_username": "alice",
        }, {"typ": "JWT"}

    @property
    def id(self):
        return {
            **self._session,
            **PERSON,
            "typ": "ID",
            "aud": self.client,
            "at_hash": "GSyaM2k0Bk4aYc3zyZuMsw",
            "preferred_username": "alice",
        }, {"typ": "JWT"}

    @property
    def refresh(self):
        return {
            **self._session,
            "typ": "Refresh",
            "aud": self.common["iss"],
            "scope": self.words,
        }, {"typ": "JWT"}


class Auth0(Provider):
    """https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles"""

    subject = "auth0|5f7c8ec7c33c6c004bbafe82"

    @property
    def access(self):
        return {
            **self.common,
            "sub": self.subject,
            "aud": [self.audience, f"{self.common['iss']}userinfo"],
            "azp": self.client,
            "scope": self.words,
            "permissions": ["realtime:join", "realtime:publish"],
        }, {"typ": "JWT"}

    @property
    def access_of_rfc9068(self):
        claims, _ = self.access
        del claims["azp"]
        jti = {"jti": uuid.uuid4().hex, "client_id": self.client}
        return {**claims, **jti}, {"typ": "at+jwt"}

    @property
    def id(self):
        return {
            **self.common,
            **PERSON,
            "sub": self.subject,
            "aud": self.client,
            "nickname": "alice",
            "picture": "https://s.gravatar.com/avatar/1.png",
            "updated_at": "2026-11-30T08:00:00.000Z",
            "sid": "3f1a2b4c5d6e",
            "nonce": "QXJZ",
        }, {"typ": "JWT"}

    refresh = "v1.MQ2u1kN0yS5T7ZkXHk0c4l9o8bYf3yQd5a1Vt0Jp2Rr6Ee9Gg"


class EntraID(Provider):
    """https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference"""

    words = "access_as_user"

    @property
    def _user(self):
        return {
            **self.common,
            "nbf": self.common["iat"],
            "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
            "oid": SUBJECT,
            "tid": "9188040d-6c67-4c5b-b112-36a304b66dad",
            "name": "Alice Liddell",
            "preferred_username": "alice@example.com",
            "rh": "0.AAAA",
            "uti": "bDdZkS2sQE",
            "ver": "2.0",
        }

    @property
    def access(self):
        return {
            **self._user,
            "aud": self.audience,
            "azp": self.client,
            "azpacr": "0",
            "aio": "AXQAi/8TAAAA",
            "scp": self.words,
        }, {"typ": "JWT"}

    @property
    def id(self):
        """With one registration for the page and the API, it has the audience of access tokens."""
        return {**self._user, "aud": self.audience, "nonce": "12345"}, {"typ": "JWT"}

    refresh = "0.AVYAI_9A1.AgABAAEAAADnfolhJpSnRYB1SVj-Hgd8AgDs_wQA9P8"


class Cognito(Provider):
    """https://docs.aws.amazon.com/cognito/latest/developerguide
    /amazon-cognito-user-pools-using-tokens-with-identity-providers.html"""

    words = "openid realtime/join realtime/publish"

    @property
    def _session(self):
        return {
            **self.common,
            "origin_jti": str(uuid.uuid4()),
            "event_id": str(uuid.uuid4()),
            "jti": str(uuid.uuid4()),
            "auth_time": self.common["iat"],
            "cognito:groups": ["members"],
        }

    @property
    def access(self):
        return {
            **self._session,
            "client_id": self.client,
            "token_use": "access",
            "scope": self.words,
            "username": "alice",
            "version": 2,
        }, {"typ": ""}

    @property
    def id(self):
        return {
            **self._session,
            **PERSON,
            "aud": self.client,
            "token_use": "id",
            "cognito:username": "alice",
            "at_hash": "GSyaM2k0Bk4aYc3zyZuMsw",
        }, {"typ": ""}

    refresh = "eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIiwiYWxnIjoiUlNBLU9BRVAifQ.QUFB.QUFB.QUFB.QUFB"


PROVIDERS = {
    "Keycloak": Keycloak,
    "Auth0": Auth0,
    "Entra ID": EntraID,
    "Amazon Cognito": Cognito,
}

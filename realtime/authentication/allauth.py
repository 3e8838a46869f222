"""Tokens of django-allauth headless: session tokens, and the access tokens of its JWT strategy.

REALTIME = {"AUTHENTICATOR": "realtime.authentication.allauth.SessionTokenAuthenticator"}
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..exceptions import AuthenticationError
from . import django_sessions
from .batch import BatchAuthenticator
from .django_sessions import django_sign_in
from .identity import Identity
from .refusals import outcome
from .session_identities import identities_from_sessions
from .simplejwt import SimpleJWTAuthenticator

_NO_SESSION = AuthenticationError("the session of the token has ended")


class SessionTokenAuthenticator(BatchAuthenticator):
    """Turns session tokens (`X-Session-Token`) into identities: those of their Django sessions."""

    def authenticate_many(self, raw_tokens: list[str]) -> list[Identity | Exception]:
        keys = [outcome(_session_key, token) for token in raw_tokens]
        plain = list({key for key in keys if isinstance(key, str)})
        known = dict(zip(plain, identities_from_sessions(plain), strict=True))
        return [known[key] if isinstance(key, str) else key for key in keys]


class AccessTokenAuthenticator(SimpleJWTAuthenticator):
    """Turns the JWTs of allauth's JWT strategy into identities that end with their Django session.

    SimpleJWT verifies them, by its settings. The session is in `sid`, encrypted; without this class
    a token is valid until it expires, also after a sign-out.
    """

    takes_own_tokens = False

    def authenticate_many(self, raw_tokens: list[str]) -> list[Identity | Exception]:
        answers = [_with_session(answer) for answer in super().authenticate_many(raw_tokens)]
        keys = {each.session_key for each in answers if isinstance(each, Identity)}
        ends = django_sessions.ends(keys)
        return [
            _NO_SESSION if isinstance(each, Identity) and each.session_key not in ends else each
            for each in answers
        ]


def _with_session(answer: Identity | Exception) -> Identity | Exception:
    from allauth.headless.tokens.strategies.jwt.internal import session_key_from_sid

    if isinstance(answer, Exception):
        return answer
    key = session_key_from_sid(answer.session_id) if answer.session_id else None
    if not key:
        return AuthenticationError("the token names no session: its sid is missing or odd")
    return replace(answer, session_id=django_sign_in(key), session_key=key)


def _session_key(raw_token: str) -> str:
    """Return the key of the Django session of a session token: the token itself, unless the site
    has a strategy of its own."""
    from allauth.headless import app_settings
    from allauth.headless.tokens.strategies.jwt import JWTTokenStrategy
    from allauth.headless.tokens.strategies.sessions import SessionTokenStrategy

    strategy: Any = app_settings.TOKEN_STRATEGY
    look_up = type(strategy).lookup_session
    if look_up in (SessionTokenStrategy.lookup_session, JWTTokenStrategy.lookup_session):
        return raw_token
    session = strategy.lookup_session(raw_token)
    key = None if session is None else session.session_key
    if not key:
        raise AuthenticationError("the session token is unknown")
    return str(key)

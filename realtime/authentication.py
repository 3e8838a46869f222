"""Who is it: from a credential to a Django user, through SimpleJWT or what the site has instead."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth import get_user
from django.db import DatabaseError
from django.http import HttpRequest
from django.utils.module_loading import import_string

from . import signing_keys, users
from .changes import changes
from .concurrency.batching import Lookups
from .concurrency.threads import run_apart, run_in_thread, timeout
from .conf import realtime_settings
from .exceptions import AuthenticationError, AuthenticationUnavailable
from .identity import ANONYMOUS as ANONYMOUS
from .identity import Identity as Identity
from .identity import django_sign_in as django_sign_in
from .identity import identity_from_claims as identity_from_claims
from .identity import password_digest as password_digest
from .identity import permitted
from .identity import public_info as public_info
from .identity import still_valid as still_valid
from .identity import user_info as user_info
from .refusals import outcome, refusal
from .simplejwt import SimpleJWTAuthenticator as SimpleJWTAuthenticator

Result = TypeVar("Result")


async def authenticate(raw_token: str) -> Identity:
    """The identity behind an access token.

    Raises `AuthenticationError`, or `AuthenticationUnavailable` when it can't be told in time.
    """
    if not raw_token or len(raw_token) > realtime_settings.TOKEN_MAX_BYTES:
        raise AuthenticationError("the token is not valid")
    if not (raw_token.isascii() and raw_token.isprintable()):
        raise AuthenticationError("the token is not valid")
    try:
        return await _ask(raw_token)
    except (AuthenticationError, AuthenticationUnavailable):
        raise
    except Exception as error:
        raise refusal(error) from error


async def _ask(raw_token: str) -> Identity:
    """Ask the authenticator, which may be the site's own: raises what that does."""
    authenticator = _authenticator(realtime_settings.AUTHENTICATOR)
    if isinstance(authenticator, SimpleJWTAuthenticator):
        if type(authenticator).authenticate is SimpleJWTAuthenticator.authenticate:
            await signing_keys.prepare(raw_token)
            return await _tokens.ask(raw_token, raw_token)
        # A subclass wants to be asked by what it changes, and may take other tokens beside.
        with suppress(AuthenticationError):
            await signing_keys.prepare(raw_token)
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
        permitted(identity.user)
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
    return [outcome(_identity_from_ticket, claims, known) for claims in kept]


def _identity_from_ticket(claims: dict[str, Any], known: dict[str, users.KnownUser]) -> Identity:
    """The identity of a redeemed ticket; its user must still be there and active."""
    found = known.get(claims["user"])
    if found is None:
        raise AuthenticationError("the user is gone")
    if password_digest(found.user) != claims["password"]:
        raise AuthenticationError("the password was changed meanwhile")
    scopes = claims["scopes"]
    return Identity(
        user=permitted(found.user),
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
    return Identity(permitted(user), session_id=django_sign_in(session_key), version=version)

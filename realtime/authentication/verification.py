"""Who is it: from a credential to a Django user, through SimpleJWT or what the site has instead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from django.db import DatabaseError
from django.utils.module_loading import import_string

from ..concurrency.batching import BatchedLookup
from ..concurrency.threads import run_apart, run_in_thread, timeout
from ..conf import realtime_settings
from ..exceptions import AuthenticationError, AuthenticationUnavailable
from . import signing_keys
from .identity import Identity, permitted
from .refusals import refusal
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


_tokens: BatchedLookup[str, Identity] = BatchedLookup(_authenticate_many)


@cache
def _authenticator(path: str) -> Any:
    return import_string(path)()

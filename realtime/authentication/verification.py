"""Authenticates access tokens, with SimpleJWT or the site's own authenticator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache, partial
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from django.db import DatabaseError
from django.utils.module_loading import import_string

from ..concurrency.batching import BatchedLookup
from ..concurrency.threads import run_separately, timeout, verify_in_thread
from ..conf import realtime_settings
from ..databases import reads_up_to_date
from ..exceptions import AuthenticationError, AuthenticationUnavailable
from . import signing_keys, unknown_users, users
from .identity import Identity, has_own_rule, permitted
from .refusals import refusal
from .simplejwt import SimpleJWTAuthenticator as SimpleJWTAuthenticator

Result = TypeVar("Result")


async def authenticate(raw_token: str) -> Identity:
    """Return the identity of an access token.

    Raises `AuthenticationError`, or `AuthenticationUnavailable` if the token can't be checked in
    time.
    """
    most = realtime_settings.TOKEN_MAX_BYTES
    if len(raw_token) > most:
        raise AuthenticationError(
            f"the token has {len(raw_token)} bytes, and TOKEN_MAX_BYTES is {most}: get a ticket"
        )
    if not raw_token:
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
    """Call the authenticator. If it is the site's own, it may raise anything."""
    authenticator = _authenticator(realtime_settings.AUTHENTICATOR)
    if isinstance(authenticator, SimpleJWTAuthenticator):
        if type(authenticator).authenticate is SimpleJWTAuthenticator.authenticate:
            await signing_keys.prepare(raw_token)
            return await _tokens.ask(raw_token, raw_token)
        # A subclass may accept other tokens too, so an unknown key is no refusal yet.
        with suppress(AuthenticationError):
            await signing_keys.prepare(raw_token)
    if not iscoroutinefunction(authenticator.authenticate):
        run = partial(run_separately, user=raw_token)
        return await in_time(_accept, authenticator.authenticate, raw_token, run=run)
    async with timeout():
        identity = await authenticator.authenticate(raw_token)
    return await in_time(_accept, lambda: identity)


def _accept(answer: Callable[..., Any], *args: Any) -> Identity:
    """Check the identity of an authenticator. Runs in a thread: `user` may be a lazy object."""
    identity = answer(*args)
    if not isinstance(identity, Identity):
        raise TypeError("the authenticator did not return an Identity")
    if not identity.user.is_anonymous:
        users.require_row(identity.user)
        permitted(identity.user)
    return identity


async def in_time(
    function: Callable[..., Result],
    *args: Any,
    run: Callable[..., Awaitable[Result]] = verify_in_thread,
) -> Result:
    """Run a look-up of users in a thread, for `RIGHTS_SECONDS` at most."""
    try:
        return await run(reads_up_to_date(function), *args)
    except TimeoutError as error:
        raise AuthenticationUnavailable("the user could not be looked up in time") from error
    except DatabaseError as error:
        raise AuthenticationUnavailable("the database does not answer") from error


async def _authenticate_many(raw_tokens: list[str]) -> list[Identity | Exception]:
    authenticator = _authenticator(realtime_settings.AUTHENTICATOR)
    # If the cached keys expire just now, SimpleJWT fetches them again and blocks its thread.
    external = signing_keys.are_external()
    run = partial(run_separately, user="issuer") if external else verify_in_thread
    try:
        return await in_time(authenticator.authenticate_many, raw_tokens, run=run)
    except AuthenticationUnavailable:
        if len(raw_tokens) == 1 or not _ask_the_site():
            raise
    # The site's rule may hang for one of the users. Each is asked alone, to let the others in.
    return list(await asyncio.gather(*map(_authenticate_alone, raw_tokens)))


async def _authenticate_alone(raw_token: str) -> Identity | Exception:
    try:
        (answer,) = await _authenticate_many([raw_token])
    except AuthenticationUnavailable as error:
        return error
    return answer


def _ask_the_site() -> bool:
    return has_own_rule() or unknown_users.are_left_to_the_site()


_tokens: BatchedLookup[str, Identity] = BatchedLookup(_authenticate_many)


@cache
def _authenticator(path: str) -> Any:
    return import_string(path)()

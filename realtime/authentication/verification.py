"""Authenticates access tokens, with SimpleJWT or the site's own authenticator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from functools import cache, partial
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from asgiref.sync import async_to_sync
from django.db import DatabaseError
from django.utils.module_loading import import_string

from ..concurrency.batching import BatchedLookup
from ..concurrency.threads import run_separately, timeout, verify_in_thread
from ..conf import realtime_settings
from ..databases import reads_up_to_date
from ..exceptions import AuthenticationError, AuthenticationUnavailable
from . import signing_keys, unknown_users, users
from .batch import BatchAuthenticator
from .identity import Identity, has_own_rule, permitted
from .refusals import refusal
from .simplejwt import SimpleJWTAuthenticator as SimpleJWTAuthenticator

Question = TypeVar("Question")
Result = TypeVar("Result")


async def authenticate(raw_token: str) -> Identity:
    """Return the identity of an access token.

    Raises `AuthenticationError`, or `AuthenticationUnavailable` if the token can't be checked in
    time.
    """
    _require_plausible(raw_token)
    try:
        return await _ask(raw_token)
    except (AuthenticationError, AuthenticationUnavailable):
        raise
    except Exception as error:
        raise refusal(error) from error


@reads_up_to_date
def authenticate_sync(raw_token: str) -> Identity:
    """As `authenticate`, in a thread that may block: that of an HTTP request."""
    _require_plausible(raw_token)
    authenticator = _authenticator(realtime_settings.AUTHENTICATOR)
    try:
        if isinstance(authenticator, SimpleJWTAuthenticator):
            with nullcontext() if _is_batched(authenticator) else suppress(AuthenticationError):
                signing_keys.prepare_sync(raw_token)
        if iscoroutinefunction(authenticator.authenticate):
            return _accept(async_to_sync(authenticator.authenticate), raw_token)
        return _accept(authenticator.authenticate, raw_token)
    except Exception as error:
        raise refusal(error) from error


def _require_plausible(raw_token: str) -> None:
    most = realtime_settings.TOKEN_MAX_BYTES
    if len(raw_token) > most:
        raise AuthenticationError(
            f"the token has {len(raw_token)} bytes, and TOKEN_MAX_BYTES is {most}: get a ticket"
        )
    if not raw_token:
        raise AuthenticationError("the token is not valid")
    if not (raw_token.isascii() and raw_token.isprintable()):
        raise AuthenticationError("the token is not valid")


async def _ask(raw_token: str) -> Identity:
    """Call the authenticator. If it is the site's own, it may raise anything."""
    authenticator = _authenticator(realtime_settings.AUTHENTICATOR)
    is_batched = _is_batched(authenticator)
    if isinstance(authenticator, SimpleJWTAuthenticator):
        # A subclass may accept other tokens too, so an unknown key is no refusal yet.
        with nullcontext() if is_batched else suppress(AuthenticationError):
            await signing_keys.prepare(raw_token)
    if is_batched:
        return await _tokens.ask(raw_token, raw_token)
    if not iscoroutinefunction(authenticator.authenticate):
        run = partial(run_separately, user=raw_token)
        return await in_time(_accept, authenticator.authenticate, raw_token, run=run)
    async with timeout():
        identity = await authenticator.authenticate(raw_token)
    return await in_time(_accept, lambda: identity)


def _is_batched(authenticator: Any) -> bool:
    return (
        isinstance(authenticator, BatchAuthenticator)
        and type(authenticator).authenticate is BatchAuthenticator.authenticate
    )


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


async def together(
    look_up: Callable[[list[Question]], list[Identity | Exception]],
    questions: list[Question],
    *,
    asks_site: bool,
    run: Callable[..., Awaitable[list[Identity | Exception]]] = verify_in_thread,
) -> list[Identity | Exception]:
    """Look up many users at once in a thread. If that takes too long and it asks code of the site,
    which may hang for one of them, each is looked up alone, to let the others in."""
    try:
        return await in_time(look_up, questions, run=run)
    except AuthenticationUnavailable:
        if len(questions) == 1 or not asks_site:
            raise
    return list(await asyncio.gather(*(_alone(look_up, each, run) for each in questions)))


async def _alone(
    look_up: Callable[[list[Question]], list[Identity | Exception]],
    question: Question,
    run: Callable[..., Awaitable[list[Identity | Exception]]],
) -> Identity | Exception:
    try:
        (answer,) = await in_time(look_up, [question], run=run)
    except AuthenticationUnavailable as error:
        return error
    return answer


async def _authenticate_many(raw_tokens: list[str]) -> list[Identity | Exception]:
    authenticator = _authenticator(realtime_settings.AUTHENTICATOR)
    # If the cached keys expire just now, SimpleJWT fetches them again and blocks its thread.
    is_jwt = isinstance(authenticator, SimpleJWTAuthenticator)
    external = is_jwt and signing_keys.are_external()
    return await together(
        authenticator.authenticate_many,
        raw_tokens,
        asks_site=has_own_rule() or unknown_users.are_left_to_the_site(),
        run=partial(run_separately, user="issuer") if external else verify_in_thread,
    )


_tokens: BatchedLookup[str, Identity] = BatchedLookup(_authenticate_many)


@cache
def _authenticator(path: str) -> Any:
    return import_string(path)()

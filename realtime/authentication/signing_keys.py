"""The public keys of an issuer elsewhere (`JWK_URL`): fetched off the event loop, once for all."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from math import inf
from typing import Any
from weakref import WeakKeyDictionary

import jwt
from jwt.exceptions import ExpiredSignatureError, PyJWTError
from rest_framework_simplejwt import state

from ..concurrency.threads import timeout
from ..conf import realtime_settings
from ..exceptions import AuthenticationError, AuthenticationUnavailable

logger = logging.getLogger("realtime.signing_keys")

# From the start of one fetch to that of the next. PyJWT itself waits 30 s before it looks for a
# key that it does not know, and refuses for so long what was signed right after a rotation. Here
# such a token waits for the next fetch, and forged ones cost the issuer one request a second.
PAUSE_SECONDS = 1.0

# A fetch that hangs is given up in time, but its thread goes on: one more is there for the next.
_threads = ThreadPoolExecutor(2, thread_name_prefix="realtime-keys")


def are_elsewhere() -> bool:
    """Whether tokens are verified with keys that have to be fetched."""
    return _client() is not None


async def prepare(raw_token: str) -> None:
    """Have the key at hand that a token names, so that verifying it waits for nobody.

    Raises `AuthenticationError` where the issuer has no such key, and `AuthenticationUnavailable`
    where it does not say so in time.
    """
    client = _client()
    if client is None:
        return
    key_id = _key_id(raw_token)
    if _has(client, key_id):
        return
    if _says_that_it_is_expired(raw_token):
        # Whoever was away for so long that even the key has gone needs a new token, not a no.
        raise AuthenticationError("the token is not valid", expired=True)
    try:
        async with timeout():
            await _fetches().until_known(client, key_id)
    except TimeoutError as error:
        raise AuthenticationUnavailable("the issuer's keys could not be read in time") from error


def _client() -> Any:
    """SimpleJWT's `PyJWKClient`; None where the key is one of the settings."""
    backend = state.token_backend
    return None if backend.algorithm.startswith("HS") else backend.jwks_client


def _key_id(raw_token: str) -> str:
    """The key that a token names, in a header that nobody has verified yet."""
    try:
        header = jwt.get_unverified_header(raw_token)
    except (PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise AuthenticationError("the token is not valid") from error
    if header.get("alg") != state.token_backend.algorithm or not header.get("kid"):
        raise AuthenticationError("the token is not valid")
    key_id: str = header["kid"]
    return key_id


def _says_that_it_is_expired(raw_token: str) -> bool:
    options: Any = {"verify_signature": False, "verify_exp": True}
    try:
        jwt.decode(raw_token, options=options, leeway=state.token_backend.get_leeway())
    except ExpiredSignatureError:
        return True
    except (PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise AuthenticationError("the token is not valid") from error
    return False


def _has(client: Any, key_id: str) -> bool:
    known = client.jwk_set_cache.get()
    return known is not None and any(
        key.key_id == key_id and key.public_key_use in ("sig", None) for key in known.keys
    )


class _Fetches:
    """The fetches of one event loop: one at a time, for all who wait."""

    def __init__(self) -> None:
        self._current: asyncio.Task[bool] | None = None
        self._next_at = -inf
        self._known_from = -inf
        """When the fetch began that the known keys are from. On the clock of the loop, as above."""

    async def until_known(self, client: Any, key_id: str) -> None:
        asked_at = asyncio.get_running_loop().time()
        while not _has(client, key_id):
            if self._known_from >= asked_at:
                raise AuthenticationError("the token names a key that its issuer does not have")
            if self._current is None or self._current.done():
                self._current = asyncio.create_task(self._fetch(client), name="realtime-keys")
            if not await asyncio.shield(self._current):
                raise AuthenticationUnavailable("the issuer's keys can't be read")

    async def _fetch(self, client: Any) -> bool:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._next_at - loop.time())
        began_at = loop.time()
        self._next_at = began_at + PAUSE_SECONDS
        client.timeout = min(client.timeout, realtime_settings.RIGHTS_SECONDS)
        try:
            async with timeout():
                # Not `get_signing_key`, which holds a lock meanwhile that all others need.
                await loop.run_in_executor(_threads, client.get_jwk_set, True)
        except Exception as error:
            # No answer, 500, no JSON, no keys: whatever it is, it is not the token's fault.
            logger.warning("the issuer's keys could not be read: %s", type(error).__name__)
            return False
        self._known_from = began_at
        return True


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Fetches] = WeakKeyDictionary()


def _fetches() -> _Fetches:
    return _of_loop.setdefault(asyncio.get_running_loop(), _Fetches())

"""Fetches the public keys of an external issuer (`JWK_URL`) off the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from math import inf
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import jwt
from jwt.exceptions import ExpiredSignatureError, PyJWTError
from rest_framework_simplejwt import state

from ..concurrency.forks import start_afresh_in_child
from ..concurrency.threads import fetch_in_thread, timeout
from ..conf import realtime_settings
from ..exceptions import AuthenticationError, AuthenticationUnavailable
from ..sparse_log import SparseLogs
from .key_download import download

_unread = SparseLogs(logging.getLogger("realtime.signing_keys"))

# Time between the starts of two fetches. PyJWT waits 30 s before it looks for an unknown key, and
# until then refuses tokens that were signed right after a key rotation. Here such a token waits for
# the next fetch, and forged tokens cost the issuer at most one request per second.
PAUSE_SECONDS = 1.0


def are_external() -> bool:
    """Return whether the keys have to be fetched from an external issuer."""
    return _client() is not None


async def prepare(raw_token: str) -> None:
    """Fetch the key that a token names unless it is cached, so that verifying does not block.

    Raises `AuthenticationError` if the issuer has no such key, and `AuthenticationUnavailable` if
    the issuer does not answer in time.
    """
    client = _client()
    key_id = "" if client is None else _unknown_key_id(client, raw_token)
    if not key_id:
        return
    try:
        async with timeout():
            await _fetches().until_known(client, key_id)
    except TimeoutError as error:
        raise AuthenticationUnavailable("the issuer's keys could not be read in time") from error


def prepare_sync(raw_token: str) -> None:
    """As `prepare`, in a thread that may block. Only one thread of the process fetches, once a
    second at most; the others raise `AuthenticationUnavailable`."""
    client = _client()
    key_id = "" if client is None else _unknown_key_id(client, raw_token)
    if key_id:
        _of_threads.fetch(client)
        if not _has(client, key_id):
            raise AuthenticationError("the token names a key that its issuer does not have")


class _FetchesOfThreads:
    def __init__(self) -> None:
        self.start_afresh()
        start_afresh_in_child(self)

    def start_afresh(self) -> None:
        self._lock = Lock()
        self._next_at = -inf

    def fetch(self, client: Any) -> None:
        if not self._lock.acquire(blocking=False):
            raise AuthenticationUnavailable("the issuer's keys are being read")
        try:
            if time.monotonic() < self._next_at:
                raise AuthenticationUnavailable("the issuer's keys have just been read")
            self._next_at = time.monotonic() + PAUSE_SECONDS
            download(client, min(client.timeout, realtime_settings.RIGHTS_SECONDS))
        except (OSError, ValueError, PyJWTError) as error:
            _report(error)
            raise AuthenticationUnavailable("the issuer's keys can't be read") from error
        finally:
            self._lock.release()


_of_threads = _FetchesOfThreads()


def _report(error: Exception) -> None:
    # No answer, 500, no JSON, no keys: in any case the token may be valid.
    kind = type(error).__name__
    _unread.warning(kind, "the issuer's keys could not be read: %s", kind)


def _client() -> Any:
    """Return SimpleJWT's `PyJWKClient`, or None if the key is in the settings."""
    backend = state.token_backend
    return None if backend.algorithm.startswith("HS") else backend.jwks_client


def _unknown_key_id(client: Any, raw_token: str) -> str:
    """Return the id of the key of a token if it has to be fetched, or "" if it is there."""
    key_id = _key_id(raw_token)
    if _has(client, key_id):
        return ""
    if _claims_to_be_expired(raw_token):
        # The key may have been retired since. The client should get a new token and try again.
        raise AuthenticationError("the token is not valid", expired=True)
    return key_id


def _key_id(raw_token: str) -> str:
    """Return the id of the key from the header of a token, which is not verified yet."""
    try:
        header = jwt.get_unverified_header(raw_token)
    except (PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise AuthenticationError("the token is not valid") from error
    if header.get("alg") != state.token_backend.algorithm or not header.get("kid"):
        raise AuthenticationError("the token is not valid")
    key_id: str = header["kid"]
    return key_id


def _claims_to_be_expired(raw_token: str) -> bool:
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
    """The fetches of one event loop: one at a time, shared by all callers."""

    def __init__(self) -> None:
        self._current: asyncio.Task[bool] | None = None
        self._next_at = -inf
        self._known_from = -inf
        """Start of the fetch that the known keys come from, on the clock of the loop."""

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
        seconds = min(client.timeout, realtime_settings.RIGHTS_SECONDS)
        client.timeout = seconds  # if PyJWT fetches them itself, because they expire just now
        try:
            # Not `get_signing_key`: it holds a lock during the fetch that all other calls need.
            await fetch_in_thread(download, client, seconds)
        except Exception as error:
            _report(error)
            return False
        self._known_from = began_at
        return True


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Fetches] = WeakKeyDictionary()


def _fetches() -> _Fetches:
    return _of_loop.setdefault(asyncio.get_running_loop(), _Fetches())

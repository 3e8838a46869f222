"""Sessions that are in a cache alone (`django.contrib.sessions.backends.cache`)."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.cache import SessionStore
from django.core.cache import caches

from ..exceptions import AuthenticationUnavailable

KEYS_AT_ONCE = 500
END = "_realtime_end"
"""The key under which a session notes its own end, in Unix time, where the cache does not tell."""
SAVED_WITHIN_SECONDS = 0.5
"""A session is saved so long after its end was noted at most, and so ends later by that."""


def are_read_together(store: type[Any]) -> bool:
    """Return whether the sessions of this store are values of a cache, and no code of the site's
    own reads them."""
    return (
        issubclass(store, SessionStore)
        and store.load is SessionStore.load
        and store.cache_key is SessionStore.cache_key
    )


def note_end(session: Any) -> None:
    """Note in a session that is about to be saved when it ends, if nothing else will tell."""
    store = type(session)
    if not are_read_together(store) or SESSION_KEY not in session or _tells(_cache()):
        return
    if session.modified or settings.SESSION_SAVE_EVERY_REQUEST:
        session[END] = time.time() + session.get_expiry_age() + SAVED_WITHIN_SECONDS


def ends(store: type[Any], session_keys: Collection[str]) -> dict[str, float | None]:
    """Return when each of these sessions ends, in Unix time; None if the cache does not tell. One
    that has ended is not in the answer. Raises `AuthenticationUnavailable`.

    Django's interface of a cache has no word for the time that is left: its own cache on Redis, and
    that of django-redis, can be asked. With others, `SignInMiddleware` has noted the end.
    """
    # A cache may refuse, or warn of, what no key is made of.
    keys = [key for key in session_keys if key.isascii() and key.isprintable() and " " not in key]
    try:
        return {
            key: end
            for start in range(0, len(keys), KEYS_AT_ONCE)
            for key, end in _ends(store, keys[start : start + KEYS_AT_ONCE])
        }
    except Exception as error:  # each cache has errors of its own
        raise AuthenticationUnavailable("the sessions can't be read") from error


def _ends(store: type[Any], keys: list[str]) -> Iterable[tuple[str, float | None]]:
    cache = _cache()
    names = {key: f"{store.cache_key_prefix}{key}" for key in keys}
    found = cache.get_many(names.values())
    living = [key for key, name in names.items() if SESSION_KEY in found.get(name, ())]
    left = _milliseconds_left(cache, [names[key] for key in living])
    now = time.time()
    for key, milliseconds in zip(living, left, strict=True):
        # Negative: kept for ever, or gone in between, which the next look finds.
        if milliseconds is not None and milliseconds >= 0:
            yield key, now + milliseconds / 1000
        else:
            noted = found[names[key]].get(END)
            # One that has passed is of a save that nobody noted.
            yield key, noted if isinstance(noted, float) and noted > now else None


def _milliseconds_left(cache: Any, names: list[str]) -> list[Any]:
    if hasattr(cache, "pttl"):
        return [cache.pttl(name) for name in names]
    client = _client(cache)
    if client is None or not names:
        return [None] * len(names)
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.pttl(cache.make_and_validate_key(name))
        found: list[Any] = pipeline.execute()
        return found


def _tells(cache: Any) -> bool:
    return hasattr(cache, "pttl") or _client(cache) is not None


def _client(cache: Any) -> Any:
    """Return the client of redis-py that Django's cache on Redis uses; None for another cache."""
    get_client = getattr(getattr(cache, "_cache", None), "get_client", None)
    return None if get_client is None else get_client()


def _cache() -> Any:
    return caches[settings.SESSION_CACHE_ALIAS]

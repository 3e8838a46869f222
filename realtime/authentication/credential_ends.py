"""When credentials of open connections end: sessions, and tokens of django-oauth-toolkit."""

from __future__ import annotations

from collections.abc import Collection

from . import django_sessions, oauth_toolkit


def ends(keys: Collection[str]) -> dict[str, float | None]:
    """Return when each of these ends, as `django_sessions.ends`; one that was deleted is not in it.

    None for tokens: what happens when they expire is decided for each connection.
    """
    tokens = {key for key in keys if _is_token(key)}
    found: dict[str, float | None] = django_sessions.ends(set(keys) - tokens)
    if tokens:
        found |= dict.fromkeys(oauth_toolkit.living(tokens))
    return found


def is_session(key: str) -> bool:
    """Return whether this is a Django session, which ends by itself."""
    return not _is_token(key)


def are_final(key: str) -> bool:
    """Return whether no other credential can take its place when this one has ended."""
    return _is_token(key) or django_sessions.have_lasting_keys()


def _is_token(key: str) -> bool:
    return key.startswith(oauth_toolkit.PREFIX)

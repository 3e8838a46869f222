"""The same password stored with another hash, as Django does at a sign-in after it got harder."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth.hashers import get_hasher, identify_hasher

MOST_KEPT = 10_000

_IS_NEW = "_realtime_password_is_new"

_rehashed: dict[tuple[str, str], str] = {}


def before_save(user: Any) -> None:
    """Keep what `set_password` has noted on the user: every save drops it, also one of another
    field, such as that of a receiver that runs before ours."""
    if user.__dict__.get("_password") is not None:
        user.__dict__[_IS_NEW] = True


def after_save(user: Any, update_fields: Collection[str] | None) -> None:
    if update_fields is None or "password" in update_fields:
        user.__dict__.pop(_IS_NEW, None)


def is_rehashed(user: Any, old: str, new: str, update_fields: Collection[str] | None) -> bool:
    """Return whether the save of `user` only replaced the hash `old` by a harder one, `new`.

    `AbstractBaseUser.check_password` then saves this one field, and takes back the note of a new
    password that `set_password` has made on the user.
    """
    return (
        set(update_fields or ()) == {"password"}
        and user.__dict__.get("_password", "") is None
        and _IS_NEW not in user.__dict__
        and _is_outdated(old) is True
        and _is_outdated(new) is False
    )


def _is_outdated(encoded: str) -> bool | None:
    """None: no password fits, so none was checked."""
    preferred = get_hasher()
    try:
        hasher = identify_hasher(encoded)
    except ValueError:
        return None
    return hasher.algorithm != preferred.algorithm or preferred.must_update(encoded)


def note(user_id: str, old: str, new: str) -> None:
    """Note that two digests are of the same password of a user."""
    if len(_rehashed) >= MOST_KEPT:
        _rehashed.clear()
    _rehashed[user_id, old] = new


def latest(user_id: str, digest: str) -> str:
    """Return the digest that the password with `digest` has now."""
    seen = set[str]()
    while digest not in seen and (user_id, digest) in _rehashed:
        seen.add(digest)
        digest = _rehashed[user_id, digest]
    return digest

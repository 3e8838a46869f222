"""Caches the users of connections until they change, and reads many with one query."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldError, ObjectDoesNotExist, ValidationError

from ..changes import changes
from ..conf import realtime_settings
from ..exceptions import AuthenticationError
from ..sparse_log import SparseLog

_rowless = SparseLog(logging.getLogger("realtime.authentication"))

MOST_KNOWN = 20_000


@dataclass(frozen=True, slots=True)
class KnownUser:
    """A user as the database had it when `changes` was at `version`."""

    user: Any
    version: int
    read_at: float


_known: dict[tuple[str, str, str], KnownUser] = {}


def manager(name: str) -> Any:
    """Return a manager of the user model by its name; "" is the default manager.

    A manager may hide users, such as those that are deleted softly. Django's own backend uses the
    default manager, and SimpleJWT uses `objects`. They can differ.
    """
    model: Any = get_user_model()
    return getattr(model, name) if name else model._default_manager


def manager_of_tokens() -> str:
    """Return the name of the manager with which SimpleJWT finds users."""
    model: Any = get_user_model()
    default = model._default_manager
    return "" if getattr(model, "objects", default) is default else "objects"


def find(field: str, values: Collection[Any], manager_name: str = "") -> dict[str, KnownUser]:
    """Return users by the text of a unique `field`. One query reads those that are not cached.

    Users that the manager hides are not found, nor those who share a value with another one. A
    cached user is used until a change is reported, for `RECHECK_SECONDS` at most. Raises the error
    of the database for a value that the field can't hold.
    """
    if field == get_user_model()._meta.pk.name:
        field = "pk"
    found, missing = {}, []
    for value in values:
        known = _known.get((manager_name, field, str(value)))
        if known is not None and _is_current(known):
            found[str(value)] = known
        else:
            missing.append(value)
    if missing:
        found |= _read(field, missing, manager_name)
    return found


def find_by_text(text: str) -> Any:
    """Return the user that a person means by `text`: the username, in the same case or in any, or
    else the primary key. None if there is no such user. Reads the database.

    Raises `MultipleObjectsReturned` if several users have this username.
    """
    user_model: Any = get_user_model()
    users = user_model._default_manager
    by_name = getattr(users, "get_by_natural_key", lambda name: _get(users, name))
    lookups = (
        by_name,
        lambda key: users.get(pk=key),
        lambda name: _get(users, name, "__iexact"),
    )
    for find_one in lookups:
        try:
            return find_one(text)
        except _NOT_FOUND:
            continue
    return None


def _get(users: Any, name: str, lookup: str = "") -> Any:
    return users.get(**{f"{users.model.USERNAME_FIELD}{lookup}": name})


_NOT_FOUND = (ObjectDoesNotExist, ValueError, TypeError, OverflowError, ValidationError, FieldError)


def forget() -> None:
    """Empty the cache."""
    _known.clear()


def require_row(user: Any) -> None:
    """Raise `AuthenticationError` if the user was made from a token, as SimpleJWT's `TokenUser` is.

    Rights, live changes and connection limits belong to a row of `AUTH_USER_MODEL`. An object of
    another model could even get the rights of the user with the same primary key.
    """
    model = get_user_model()
    if isinstance(user, model) and user.pk is not None and not user._state.adding:
        return
    _rowless.warning(
        "refused a connection: the authenticator returned a %s that was not read from the "
        "database; return a %s, for example with objects.get(pk=...)",
        type(user).__qualname__,
        model.__name__,
    )
    raise AuthenticationError("the user is not in the database")


def remember(user: Any, version: int) -> None:
    """Add a user to the cache that was read elsewhere."""
    _remember("", "pk", str(user.pk), KnownUser(user, version, time.monotonic()))


def _read(field: str, values: list[Any], manager_name: str) -> dict[str, KnownUser]:
    version, read_at = changes.version, time.monotonic()
    asked = manager(manager_name).filter(**{f"{field}__in": values})
    found: dict[str, KnownUser] = {}
    shared = set()
    for user in asked:
        value = str(user.pk if field == "pk" else getattr(user, field))
        if value in found:
            shared.add(value)  # as may happen with e-mail addresses
        found[value] = KnownUser(user, version, read_at)
    for value in shared:
        del found[value]
    for value, known in found.items():
        _remember(manager_name, field, value, known)
    return found


def _remember(manager_name: str, field: str, value: str, known: KnownUser) -> None:
    if known.version < 0:
        return  # this process is not notified of changes
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    _known[manager_name, field, value] = known


def _is_current(known: KnownUser) -> bool:
    age = time.monotonic() - known.read_at
    return age < realtime_settings.RECHECK_SECONDS and not changes.is_stale(
        known.version, str(known.user.pk)
    )

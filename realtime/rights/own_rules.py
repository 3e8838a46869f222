"""Rules that are code of the site, which may block, hang or fail: which they are, and asking them
apart from the look-ups."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DatabaseError
from django.utils.module_loading import import_string

from ..authentication import Identity
from ..concurrency import threads
from ..concurrency.pools import PoolBusy, TookTooLong
from ..databases import reads_up_to_date
from ..exceptions import LayerUnavailable
from ..rooms.finding import AnyRoom
from ..rooms.room_types import CodeRoom, is_personal
from ..sparse_log import SparseLogs

_failures = SparseLogs(logging.getLogger("realtime.grants"))

Result = TypeVar("Result")

_KNOWN_MODULES = (
    "django.contrib.auth.backends",
    "django.contrib.auth.models",
    "django.contrib.auth.base_user",
    "realtime.rights.backend",
)
_ASKED = (
    *("has_perm", "get_all_permissions", "get_group_permissions", "get_user_permissions"),
    *("_get_permissions", "_get_group_permissions", "_get_user_permissions"),
)


def decide_on(room: AnyRoom | None) -> bool:
    """Return whether code of the site has a say: a room type, a backend, or the user model.

    None is a missing room, for which the rules of a room of the database are asked.
    """
    if is_personal(room):
        return False
    if isinstance(room, CodeRoom):
        return True
    return not _are_ours(tuple(settings.AUTHENTICATION_BACKENDS), get_user_model())


def name_of(room: AnyRoom | None) -> str:
    """Return what the log calls the rules of a room: its room type, or all backends."""
    if isinstance(room, CodeRoom):
        return f"{type(room.type).__module__}.{type(room.type).__qualname__}.can_join"
    return "AUTHENTICATION_BACKENDS"


async def ask(
    function: Callable[..., Result],
    identity: Identity,
    *args: Any,
    rule: str,
    patience: float | None,
) -> Result:
    """Run code of the site. Raises `TookTooLong`, or `LayerUnavailable` if it is not to blame."""
    call = reads_up_to_date(function)
    user = identity.user_id
    try:
        return await threads.ask_rule(
            call, identity, *args, user=user, rule=rule, patience=patience
        )
    except TookTooLong as error:
        if error.in_database:
            raise LayerUnavailable(f"{rule} waits for the database") from error
        raise
    except PoolBusy as error:
        raise LayerUnavailable(f"{rule} was not begun in time") from error
    except DatabaseError as error:
        _failures.of(rule).error(
            "%s can't be answered, and stays as it was: %s", rule, type(error).__name__
        )
        raise LayerUnavailable(f"the database of {rule} does not answer") from error


@cache
def _are_ours(backends: tuple[str, ...], user_model: Any) -> bool:
    asked = [user_model, *(import_string(path) for path in backends)]
    return all(_is_ours(each) for each in asked)


def _is_ours(asked: Any) -> bool:
    methods = (getattr(asked, name, None) for name in _ASKED)
    return all(each is None or each.__module__ in _KNOWN_MODULES for each in methods)

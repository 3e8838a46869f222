"""What others see of a user: the public profile, and the name that administrators see."""

from __future__ import annotations

import logging
import time
from functools import cache
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import async_to_sync
from django.utils.module_loading import import_string

from ..concurrency import threads
from ..conf import KEYS, realtime_settings
from ..sparse_log import SparseLogs

logger = logging.getLogger("realtime.authentication")

SLOW_SECONDS = 0.1
"""A label that takes longer is reported."""

_slow = SparseLogs(logger)

OUR_INFO = KEYS["USER_INFO"].default


def user_info(user: Any) -> dict[str, Any]:
    """Return the public profile: a display name, never an e-mail address."""
    name = user.get_full_name() if hasattr(user, "get_full_name") else ""
    if not name and not user.is_anonymous:
        name = username(user)
    return {"name": name if name and "@" not in name else f"User {user.pk}"}


def is_own_info() -> bool:
    """Return whether `USER_INFO` is code of the site, which may block."""
    return bool(realtime_settings.USER_INFO != OUR_INFO)


async def public_info(user: Any) -> dict[str, Any]:
    """Call `REALTIME["USER_INFO"]`, the function for the public profile: off the event loop if it
    is the site's own. Raises `HookUnavailable`, or what it raises."""
    if not is_own_info():
        return user_info(user)
    function = import_string(realtime_settings.USER_INFO)
    info: dict[str, Any] = await threads.call_hook(str(user.pk), function, user)
    return info


def public_info_sync(user: Any) -> dict[str, Any]:
    """As `public_info`, in a thread that may block."""
    if not is_own_info():
        return user_info(user)
    function = import_string(realtime_settings.USER_INFO)
    if iscoroutinefunction(function):
        function = async_to_sync(function)
    info: dict[str, Any] = function(user)
    return info


def username(user: Any) -> str:
    """Return the username as text. In some user models it is a number or a related object."""
    return "" if user.is_anonymous else str(user.get_username())


def user_label(user: Any) -> str:
    """Return the name by which administrators know a user: the username."""
    return username(user)


def label(user: Any) -> str:
    """Call `REALTIME["USER_LABEL"]`; "" for an anonymous user, the username if that fails.

    It runs on the event loop, for each write to the list of connections. One that is slow is named
    in the log.
    """
    if user.is_anonymous:
        return ""
    path = realtime_settings.USER_LABEL
    began_at = time.monotonic()
    try:
        return str(import_string(path)(user)) or username(user)
    except Exception as error:
        _report(path, type(error).__name__)
        return username(user)
    finally:
        seconds = time.monotonic() - began_at
        if seconds > SLOW_SECONDS:
            _slow.warning(
                path,
                "%s (USER_LABEL) took %.2f s on the event loop, while all others waited: it must"
                " not ask a database or a network",
                path,
                seconds,
            )


@cache
def _report(path: str, error: str) -> None:
    """Log a mistake of the site's function once, not for every connection."""
    logger.error("%s raised %s; usernames are shown instead", path, error)

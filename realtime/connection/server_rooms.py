"""Server-side subscriptions: the rooms that a user is always in, without asking for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from django.utils.module_loading import import_string

from ..concurrency import threads
from ..conf import realtime_settings
from ..protocols.requests import SubscribeOptions
from .session import Session

_hook = lru_cache(import_string)


async def server_rooms(session: Session) -> list[str]:
    """The rooms that `SERVER_ROOMS` names for the user of a connection, at most as many as it may
    be in. Anonymous users have none. Raises `HookUnavailable`, and what the hook raises."""
    path: str = realtime_settings.SERVER_ROOMS
    # Clients without pings, those of the plain protocol and of server-sent events, name their rooms
    # in the URL.
    if not path or not session.user_id or not session.protocol.has_pings:
        return []
    found = await threads.call_hook(session.user_id, _hook(path), session.caller.user)
    return _names(found)[: realtime_settings.ROOMS_PER_CONNECTION]


def _names(found: Any) -> list[str]:
    names = [found] if isinstance(found, str) else list(found) if _is_list(found) else None
    if names is None or not all(isinstance(name, str) for name in names):
        path = realtime_settings.SERVER_ROOMS
        raise TypeError(f"SERVER_ROOMS ({path}) returned {found!r:.100}, not the names of rooms")
    return list(dict.fromkeys(names))


def _is_list(found: Any) -> bool:
    return isinstance(found, Iterable) and not isinstance(found, bytes | Mapping)


def with_server_rooms(
    names: list[str], asked: Mapping[str, SubscribeOptions], most: int
) -> dict[str, SubscribeOptions]:
    """The rooms to enter at a connect. Those of the server come first, with the positions from
    which the client recovers them."""
    wanted = {name: asked.get(name) or SubscribeOptions() for name in names}
    for name, options in asked.items():
        if len(wanted) < most:
            wanted.setdefault(name, options)
    return wanted

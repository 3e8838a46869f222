"""Calls `on_join` and `on_leave` of the site's room types when users come and go."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import msgspec
from django.db import DatabaseError

from ..authentication import users
from ..concurrency import tasks, threads
from ..concurrency.batching import BatchedLookup
from ..exceptions import HookUnavailable
from ..layers.records import PresenceNews
from ..rooms.handlers import visit_hook
from ..rooms.publications import ClientInfo
from ..rooms.room_types import CodeRoom, find_in_code
from ..sparse_log import SparseLogs

logger = logging.getLogger("realtime.visits")
_failures = SparseLogs(logger)

WAITING_MAX = 10_000
AT_ONCE = 32
CLOSE_SECONDS = 1.0

_decode_info = msgspec.json.Decoder(ClientInfo).decode


class Visit(NamedTuple):
    """A user who has entered a room, or left it."""

    hook: str
    """`on_join` or `on_leave`."""
    room: CodeRoom
    user: str


class Visits:
    """Takes the news of presence. Reporting never waits; the hooks are called in the background.

    Presence reports each change of a person to one caller of all processes, so a hook is called
    once. Those of one user in one room are called in their order, each after the one before.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], deque[Visit]] = {}
        self._count = 0
        self._running: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Semaphore(AT_ONCE)

    def report(self, news: Iterable[PresenceNews]) -> None:
        for each in news:
            room = find_in_code(each.room) if each.joined or each.left else None
            if room is not None:
                # Who has left and come back at the same moment is there.
                self._add("on_leave", room, each.left)
                self._add("on_join", room, each.joined)

    async def close(self) -> None:
        """Finish what runs, for a moment."""
        if self._running:
            await asyncio.wait(self._running, timeout=CLOSE_SECONDS)
        await tasks.cancel(*self._running)

    def _add(self, hook: str, room: CodeRoom, infos: Collection[bytes]) -> None:
        if not infos or visit_hook(room, hook) is None:
            return
        for info in infos:
            visit = Visit(hook, room, _decode_info(info).user)
            if self._count >= WAITING_MAX:
                _failures.of(hook).error(
                    "%s is not called for the user %s in the room %r: %d calls wait already. Make "
                    "the hook faster, or raise HOOK_THREADS.",
                    *(_name(visit), visit.user, room.name, self._count),
                )
                return
            self._count += 1
            key = room.name, visit.user
            if key in self._waiting:
                self._waiting[key].append(visit)
                continue
            self._waiting[key] = deque([visit])
            task = asyncio.create_task(self._call_all(key), name="realtime-visits")
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _call_all(self, key: tuple[str, str]) -> None:
        waiting = self._waiting[key]
        try:
            while waiting:
                async with self._at_once:
                    await _call(waiting[0])
                waiting.popleft()
                self._count -= 1
        finally:
            self._count -= len(waiting)
            del self._waiting[key]


async def _call(visit: Visit) -> None:
    name = _name(visit)
    try:
        user = await _users.ask(visit.user, visit.user)
        hook = visit_hook(visit.room, visit.hook)
        if user is not None and hook is not None:
            await threads.call_hook(visit.user, hook, user, **visit.room.captured)
    except (HookUnavailable, TimeoutError, DatabaseError) as error:
        _failures.warning(
            *(name, "%s was not called for the user %s in the room %r, or did not end: %s"),
            *(name, visit.user, visit.room.name, error),
        )
    except Exception:
        _failures.of(name).error(
            "%s raised for the user %s in the room %r; it refuses nobody. Repair it, and refuse in "
            "can_join.",
            *(name, visit.user, visit.room.name),
            exc_info=True,
        )


def _name(visit: Visit) -> str:
    return f"{type(visit.room.type).__qualname__}.{visit.hook}"


async def _find_users(user_ids: list[str]) -> list[Any]:
    found = await threads.run_in_thread(users.find, "pk", user_ids)
    return [found[user_id].user if user_id in found else None for user_id in user_ids]


_users: BatchedLookup[str, Any] = BatchedLookup(_find_users)

"""Closes connections whose Django session has expired or was deleted, which no signal reports."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Collection
from typing import Protocol

from django.db import DatabaseError

from ..authentication import credential_ends
from ..codes import CloseCode
from ..concurrency import tasks, threads
from ..concurrency.background import attempt
from ..conf import realtime_settings
from ..exceptions import AuthenticationUnavailable, LayerUnavailable

logger = logging.getLogger("realtime.sessions")

SECOND_LOOK_SECONDS = 5.0
PAUSE_SECONDS = 1.0
"""Between two looks: what ends within this time is looked at together."""
PROBE_SECONDS = 2.0
"""Between two looks at the sessions whose end nobody knows."""
PROBE_SHARE = 0.05
"""The part of a thread's time that is spent on these looks at most: each loads all of them."""
LOOK_SECONDS = 60.0
"""Sessions that are not in the database are loaded one by one."""


class WithSession(Protocol):
    """A connection, as far as its Django session concerns it."""

    @property
    def session_key(self) -> str: ...
    def close(self, code: CloseCode, reason: str = "") -> None: ...


class SessionWatch:
    """Looks whether the Django sessions of connections are still there: at each one when it ends,
    and at all of them every `RECHECK_SECONDS`.

    A session may be extended in the meantime, so its end is read again before it is believed. Some
    caches don't know when a session ends; there all of them are looked at every other second.
    """

    def __init__(self, connections: Collection[WithSession]) -> None:
        self._connections = connections
        self._ends: dict[str, float | None] = {}
        """When each session ends, in Unix time, as far as it is known."""
        self._new: set[str] = set()
        self._has_new = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._second_looks: set[asyncio.Task[bool]] = set()
        self._probe_at = 0.0

    def watch(self, session_key: str) -> None:
        """A connection has this session now."""
        if session_key not in self._ends and credential_ends.is_session(session_key):
            self._new.add(session_key)
            self._has_new.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="realtime-session-watch")

    async def close(self) -> None:
        await tasks.cancel(self._task, *self._second_looks)
        self._task = None

    async def _run(self) -> None:
        regular_at = _next_regular_look()
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            await self._wait_until(regular_at)
            if time.monotonic() >= regular_at:
                regular_at = _next_regular_look()
                await attempt(self._look_at_all, "sessions could not be looked at", logger)
            else:
                await attempt(self._look_at_some, "sessions could not be looked at", logger)

    async def _wait_until(self, regular_at: float) -> None:
        """Wait until a session ends, there is a new one, or a regular look is due."""
        first_end = min((end for end in self._ends.values() if end is not None), default=None)
        next_look = min(regular_at, self._probe_at) if self._untold() else regular_at
        seconds = next_look - time.monotonic()
        if first_end is not None:
            seconds = min(seconds, first_end - time.time())
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._has_new.wait()
        except TimeoutError:
            pass

    async def look(self) -> None:
        """Look at all sessions, and close the connections of those that have ended."""
        await self._look_at_all()
        await asyncio.gather(*self._second_looks)

    async def _look_at_all(self) -> None:
        keys = {each.session_key for each in self._connections} - {""}
        self._ends = {key: end for key, end in self._ends.items() if key in keys}
        await self._look_at(keys)

    async def _look_at_some(self) -> None:
        now = time.time()
        due = {key for key, end in self._ends.items() if end is not None and end <= now}
        started = time.monotonic()
        is_probe = started >= self._probe_at
        await self._look_at(due | self._new | (self._untold() if is_probe else set()))
        if is_probe:
            ended = time.monotonic()
            self._probe_at = ended + max(PROBE_SECONDS, (ended - started) / PROBE_SHARE)

    def _untold(self) -> set[str]:
        """The sessions whose end nobody knows."""
        return {
            key
            for key, end in self._ends.items()
            if end is None and credential_ends.is_session(key)
        }

    async def _look_at(self, keys: set[str]) -> None:
        ends = await _read(keys)
        self._new -= keys
        if not self._new:
            self._has_new.clear()
        gone = keys - ends.keys()
        expired = gone & _past(self._ends)
        self._ends |= ends
        self._close(_past(ends) | expired)
        missing = gone - expired
        for key in missing:
            self._ends.pop(key, None)
        if missing:
            second_look = asyncio.create_task(
                attempt(lambda: self._look_again_at(missing), "no second look", logger),
                name="realtime-session-second-look",
            )
            self._second_looks.add(second_look)
            second_look.add_done_callback(self._second_looks.discard)

    async def _look_again_at(self, missing: set[str]) -> None:
        """A session that just got a new key is deleted before its new key is announced."""
        await asyncio.sleep(SECOND_LOOK_SECONDS)
        ends = await _read(missing)
        self._close((missing - ends.keys()) | _past(ends))

    def _close(self, ended: set[str]) -> None:
        if not ended:
            return
        for key in ended:
            self._ends.pop(key, None)
        # A browser may have a newer cookie for the same session: its client shows it, and is told
        # at the handshake if it has none.
        for connection in [each for each in self._connections if each.session_key in ended]:
            if credential_ends.are_final(connection.session_key):
                connection.close(CloseCode.INVALID_TOKEN, "signed out")
            else:
                connection.close(CloseCode.EXPIRED, "the session has expired")


def _next_regular_look() -> float:
    return time.monotonic() + float(realtime_settings.RECHECK_SECONDS) * random.uniform(0.75, 1)


def _past(ends: dict[str, float | None]) -> set[str]:
    now = time.time()
    return {key for key, end in ends.items() if end is not None and end <= now}


async def _read(keys: set[str]) -> dict[str, float | None]:
    if not keys:
        return {}
    try:
        return await threads.run_in_thread(credential_ends.ends, keys, seconds=LOOK_SECONDS)
    except (DatabaseError, TimeoutError, AuthenticationUnavailable) as error:
        raise LayerUnavailable("the sessions can't be read") from error

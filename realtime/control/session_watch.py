"""Closes connections whose Django session has expired or was deleted, which no signal reports."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Collection
from typing import Protocol

from django.db import DatabaseError

from ..authentication import django_sessions
from ..codes import CloseCode
from ..concurrency import tasks, threads
from ..concurrency.background import attempt
from ..conf import realtime_settings
from ..exceptions import AuthenticationUnavailable, LayerUnavailable

logger = logging.getLogger("realtime.sessions")

SECOND_LOOK_SECONDS = 5.0
LOOK_SECONDS = 60.0
"""Sessions that are not in the database are loaded one by one."""


class WithSession(Protocol):
    """A connection, as far as its Django session concerns it."""

    @property
    def session_key(self) -> str: ...
    def close(self, code: CloseCode, reason: str = "") -> None: ...


class SessionWatch:
    """Looks every `RECHECK_SECONDS` whether the Django sessions of connections are still there."""

    def __init__(self, connections: Collection[WithSession]) -> None:
        self._connections = connections
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to look; does nothing the second time."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="realtime-session-watch")

    async def close(self) -> None:
        await tasks.cancel(self._task)
        self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(realtime_settings.RECHECK_SECONDS * random.uniform(0.75, 1))
            await attempt(self.look, "sessions could not be looked at", logger)

    async def look(self) -> None:
        """Close the connections of sessions that have ended."""
        ended = await self._ended({each.session_key for each in self._connections} - {""})
        if ended:
            # A session that just got a new key is deleted before its new key is announced.
            await asyncio.sleep(SECOND_LOOK_SECONDS)
            ended = await self._ended(ended)
        for connection in [each for each in self._connections if each.session_key in ended]:
            connection.close(CloseCode.INVALID_TOKEN, "signed out")

    async def _ended(self, keys: set[str]) -> set[str]:
        if not keys:
            return set()
        try:
            return await threads.run_in_thread(django_sessions.ended, keys, seconds=LOOK_SECONDS)
        except (DatabaseError, TimeoutError, AuthenticationUnavailable) as error:
            raise LayerUnavailable("the sessions can't be read") from error

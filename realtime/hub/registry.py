"""Registry: lists this process and its connections for all processes, and counts connections."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import sys
import time
import uuid
from collections.abc import Callable
from typing import Protocol

import msgspec

from ..concurrency import tasks
from ..concurrency.background import RETRY_SECONDS, attempt, until_done
from ..concurrency.batching import BatchedLookup
from ..conf import realtime_settings
from ..exceptions import LayerUnavailable
from ..layers import RoomLayer
from ..layers.records import Connection, Process
from ..metrics import metrics
from ..version import __version__

logger = logging.getLogger("realtime.registry")

BEATS_PER_TTL = 3
AT_ONCE = 500
PAUSE_SECONDS = 0.1
RECONFIRM_SECONDS = 3600.0


class Listed(Protocol):
    """A connection, as far as the list of connections shows it."""

    @property
    def id(self) -> str: ...
    @property
    def unsent_bytes(self) -> int: ...
    def describe(self, process: str) -> Connection:
        """The record of a connection of `process`, as it is now."""
        ...


class Registry:
    """Writes the records of this process and its connections, many in one write.

    Only a connection that has to be counted waits for it. A process that is killed counts as dead
    `PROCESS_TTL_SECONDS` after its last heartbeat.
    """

    def __init__(self, layer: RoomLayer, gauges: Callable[[], dict[str, float]] = dict) -> None:
        self.process = Process(
            id=uuid.uuid4().hex[:12],
            host=socket.gethostname(),
            pid=os.getpid(),
            server=_server(*sys.argv),
            started_at=time.time(),
            version=__version__,
        )
        self._layer = layer
        self._gauges = gauges
        self._users: dict[str, str] = {}
        """The user of each connection that is counted, or is just being counted."""
        self._sessions: dict[str, Listed] = {}
        self._changed: set[str] = set()
        self._ended: dict[str, str] = {}
        self._unsent: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._confirm_at = time.monotonic() + RECONFIRM_SECONDS
        self._admissions: BatchedLookup[tuple[str, str], bool] = BatchedLookup(self._admit)

    async def admit(self, client: str, user: str) -> bool:
        """Count a connection of `user`, if there are fewer than `CONNECTIONS_PER_USER` of them.

        Raises `LayerUnavailable`. Call `leave` for it in both cases.
        """
        if not user or not realtime_settings.CONNECTIONS_PER_USER:
            return True
        self._start()
        self._users[client] = user
        return await self._admissions.ask(client, (client, user))

    def enter(self, session: Listed) -> None:
        """List a connection from now on."""
        self._start()
        self._sessions[session.id] = session
        self.update(session)

    def update(self, session: Listed) -> None:
        """Write the record of a connection again, because it has changed."""
        if session.id in self._sessions:
            self._changed.add(session.id)
            self._wake.set()

    def leave(self, client: str) -> None:
        user = self._users.pop(client, "")
        session = self._sessions.pop(client, None)
        if not user and session is None:
            return
        self._changed.discard(client)
        self._unsent.pop(client, None)
        self._ended[client] = user
        self._wake.set()

    async def close(self) -> None:
        """Remove this process and its connections from the list."""
        await tasks.cancel(*self._tasks)
        if not self._tasks:
            return
        self._tasks = []
        for client in [*self._sessions, *self._users]:
            self.leave(client)
        try:
            while self._ended:
                await self._write_some()
            await self._layer.beat(self.process.id, b"", 0)
        except LayerUnavailable:
            logger.info(
                "the list of connections could not be cleaned; "
                "remaining Redis entries expire with their TTL"
            )

    def _start(self) -> None:
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._write(), name="realtime-registry"),
                asyncio.create_task(self._beat_often(), name="realtime-heartbeat"),
            ]

    async def _admit(self, asked: list[tuple[str, str]]) -> list[bool | Exception]:
        limit = realtime_settings.CONNECTIONS_PER_USER
        answers = await self._layer.admit(self.process.id, asked, limit)
        for client, user in asked:
            if client not in self._users:
                # It was closed while it was counted, and perhaps counted after that.
                self._ended[client] = user
                self._wake.set()
        return list(answers)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            await until_done(
                self._write_some, "the list of connections could not be written", logger
            )
            # Changes within the pause go into the next write.
            await asyncio.sleep(PAUSE_SECONDS)

    async def _write_some(self) -> None:
        changed = [self._changed.pop() for _ in range(min(AT_ONCE, len(self._changed)))]
        ended = dict(list(self._ended.items())[:AT_ONCE])
        present = {
            client: msgspec.json.encode(self._describe(self._sessions[client]))
            for client in changed
            if client in self._sessions
        }
        if present or ended:
            try:
                ttl = realtime_settings.PROCESS_TTL_SECONDS
                failed = await self._layer.write_connections(self.process.id, present, ended, ttl)
            except BaseException:
                self._changed.update(client for client in changed if client in self._sessions)
                raise
        else:
            failed = set()
        for client in ended:
            user = self._ended.pop(client)
            if client in failed:
                self._ended[client] = user  # last, so that it holds up no other
        self._changed.update(failed & self._sessions.keys())
        if failed:
            raise LayerUnavailable("some connections could not be written")
        if not self._changed and not self._ended:
            self._wake.clear()

    async def _beat_often(self) -> None:
        while True:
            pause = RETRY_SECONDS
            if await attempt(self._beat, "the heartbeat could not be written", logger):
                pause = realtime_settings.PROCESS_TTL_SECONDS / BEATS_PER_TTL
                await attempt(self._write_metrics, "the metrics could not be written", logger)
            await asyncio.sleep(pause * random.uniform(0.8, 1))
            self._look_at_unsent()

    async def _beat(self) -> None:
        info, ttl = msgspec.json.encode(self.process), realtime_settings.PROCESS_TTL_SECONDS
        began_at = time.monotonic()
        known = await self._layer.beat(self.process.id, info, ttl)
        metrics.redis_seconds.observe(time.monotonic() - began_at)
        if known and time.monotonic() < self._confirm_at:
            return
        # The process is new, or Redis has lost its data: count and list all connections again.
        self._confirm_at = time.monotonic() + RECONFIRM_SECONDS
        self._changed.update(self._sessions)
        self._wake.set()
        counted = list(self._users.items())
        for start in range(0, len(counted), AT_ONCE):
            await self._layer.admit(self.process.id, counted[start : start + AT_ONCE], 0)
        for client, user in counted:
            if client not in self._users:
                self._ended[client] = user

    async def _write_metrics(self) -> None:
        unsent = sum(session.unsent_bytes for session in self._sessions.values())
        gauges = {"connections": len(self._sessions), "outbox_bytes": unsent, **self._gauges()}
        process = f"{self.process.host}:{self.process.pid}"
        snapshot = msgspec.json.encode(metrics.snapshot(process, gauges))
        ttl = realtime_settings.PROCESS_TTL_SECONDS
        await self._layer.write_metrics(self.process.id, snapshot, ttl)

    def _look_at_unsent(self) -> None:
        for client, session in self._sessions.items():
            if session.unsent_bytes != self._unsent.get(client, 0):
                self.update(session)

    def _describe(self, session: Listed) -> Connection:
        described = session.describe(self.process.id)
        self._unsent[session.id] = described.unsent_bytes
        return described


def _server(program: str, *words: str) -> str:
    """The name of the server: its command, or for `python -m daphne` its package. A command of
    Django has its own name, such as `runserver`."""
    folder, name = os.path.split(program)
    if name == "__main__.py":
        name = os.path.basename(folder)
    name = name.removesuffix(".py") or "python"
    if words and (name in ("manage", "django-admin", "django") or words[0] == "runserver"):
        return words[0]
    return name

"""Publishing for one connection: many in flight, each acknowledged when it is stored."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from .. import signals
from ..exceptions import LayerUnavailable
from ..layers.base import OnKept
from ..metrics import ONE_OF, metrics
from ..protocols.requests import Command
from ..rooms.handlers import has_publish_hook, run_publish_hook
from ..rooms.payloads import checked
from ..rooms.publications import publication_body, retention
from . import events
from .joining import require
from .replies import acknowledge, refuse
from .session import Session
from .subscriptions import is_outdated

IN_FLIGHT_MAX = 64
IN_FLIGHT_MAX_BYTES = 131_072
"""A burst of large messages at once would be more than the members of a room can read as fast."""


async def publish(session: Session, name: str, data: bytes) -> None:
    """Publish, and wait for what that needs: a right, or the site's hook."""
    data = checked(data)
    grant, room = await require(session, "publish", name)
    data = await run_publish_hook(room, session.caller.user, data, session.user_id)
    await session.learn_info()
    if is_outdated(grant, session.user_id, name):
        await require(session, "publish", name)
    body = publication_body(data, session.client_info())
    await session.node.layer.append(room.name, body, retention(room))
    metrics.published += 1
    events.send(signals.published, session, room=room.name, data=data)


class Publisher:
    """Publishes for a session what needs no waiting, by the rights that its subscriptions hold."""

    __slots__ = ("_bytes", "_in_flight", "_landed", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._in_flight = 0
        """How many publications were begun here and are not answered yet."""
        self._bytes = 0
        self._landed: asyncio.Event | None = None

    @property
    def is_full(self) -> bool:
        return self._in_flight >= IN_FLIGHT_MAX or self._bytes >= IN_FLIGHT_MAX_BYTES

    async def wait(self) -> None:
        """Wait until there is room for more."""
        self._landed = asyncio.Event()
        await self._landed.wait()

    def try_publish(self, command: Command) -> bool:
        """Begin a publication if nothing has to be waited for. Return whether it was begun.

        The next command may follow while it is kept, so that many go to Redis together.
        """
        session, wanted = self._session, command.body
        grant = session.rooms.get(wanted.channel)
        if grant is None or "publish" not in grant.actions:
            return False
        room = grant.room
        if room is None or has_publish_hook(room):
            return False
        if is_outdated(grant, session.user_id, wanted.channel):
            return False
        if not session.knows_info:
            return False
        try:
            data = checked(bytes(wanted.data))
        except Exception:
            return False  # `publish` finds it too, and answers
        self._in_flight += 1
        self._bytes += len(data)
        session.pending += 1
        on_kept = partial(self._on_kept, command, len(data))
        if not metrics.published % ONE_OF:
            on_kept = partial(self._on_kept_at, time.monotonic(), on_kept)
        body = publication_body(data, session.client_info())
        session.node.layer.append_soon(room.name, body, retention(room), on_kept)
        return True

    def _announce(self, command: Command) -> None:
        wanted = command.body
        data = bytes(wanted.data)
        events.send(signals.published, self._session, room=wanted.channel, data=data)

    def _on_kept_at(self, began_at: float, on_kept: OnKept, outcome: Any) -> None:
        metrics.publish_seconds.observe(time.monotonic() - began_at)
        on_kept(outcome)

    def _on_kept(self, command: Command, size: int, outcome: Any) -> None:
        session = self._session
        self._in_flight -= 1
        self._bytes -= size
        if self._landed is not None and not self.is_full:
            self._landed.set()
        if isinstance(outcome, LayerUnavailable):
            refuse(session, command.id, outcome.error)
        else:
            metrics.published += 1
            if signals.published.receivers:
                self._announce(command)
            acknowledge(session, command)
        session.finish()

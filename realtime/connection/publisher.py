"""What one connection publishes: many at once go to the layer, each is answered when it is kept."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from ..exceptions import LayerUnavailable
from ..protocols.requests import Command
from ..rooms.handlers import has_publish_hook, run_publish_hook
from ..rooms.payloads import checked
from ..rooms.publications import publication_body, retention

if TYPE_CHECKING:
    from .session import Session

IN_FLIGHT_MAX = 64
IN_FLIGHT_MAX_BYTES = 131_072
"""A burst of large messages at once would be more than the members of a room can read as fast."""


class Publisher:
    """Publishes for a session, by the rights that its subscriptions hold."""

    __slots__ = ("_bytes", "_landed", "_session", "_subscriptions", "in_flight")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._subscriptions = session.subscriptions
        self.in_flight = 0
        """How many publications were begun and are not answered yet."""
        self._bytes = 0
        self._landed: asyncio.Event | None = None

    @property
    def is_full(self) -> bool:
        return self.in_flight >= IN_FLIGHT_MAX or self._bytes >= IN_FLIGHT_MAX_BYTES

    async def wait(self) -> None:
        """Until there is room for some more."""
        self._landed = asyncio.Event()
        await self._landed.wait()

    async def publish(self, name: str, data: bytes) -> None:
        """Publish where something has to be waited for: a right, or the site's hook."""
        session = self._session
        data = checked(data)
        grant, room = await self._subscriptions.require("publish", name)
        data = await run_publish_hook(room, session.caller.user, data)
        if self._subscriptions.is_outdated(name, grant):
            await self._subscriptions.require("publish", name)
        body = publication_body(data, session.client_info())
        await session.hub.layer.append(room.name, body, retention(room))

    def publish_at_once(self, command: Command) -> bool:
        """Begin what the command publishes, if nothing has to be waited for: the next command may
        follow while it is kept, so that many go to Redis together. Whether it was begun."""
        session, wanted = self._session, command.body
        grant = self._subscriptions.rooms.get(wanted.channel)
        if grant is None or "publish" not in grant.actions:
            return False
        room = grant.room
        if room is None or has_publish_hook(room):
            return False
        if self._subscriptions.is_outdated(wanted.channel, grant):
            return False
        try:
            data = checked(bytes(wanted.data))
            info = session.client_info()
        except Exception:
            return False  # the longer way finds it too, and answers
        if not session.hub.commands.take(session.user_id or session.id):
            return False
        self.in_flight += 1
        self._bytes += len(data)
        on_kept = partial(self._on_kept, command, len(data))
        body = publication_body(data, info)
        session.hub.layer.append_soon(room.name, body, retention(room), on_kept)
        return True

    def _on_kept(self, command: Command, size: int, outcome: Any) -> None:
        session = self._session
        self.in_flight -= 1
        self._bytes -= size
        if self._landed is not None and not self.is_full:
            self._landed.set()
        if isinstance(outcome, LayerUnavailable):
            session.refuse(command.id, outcome.error)
        else:
            session.acknowledge(command)
        session.go_if_done()

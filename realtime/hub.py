"""One per process and event loop: which sessions are in which room, and the fan-out to them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec

from .layers import RoomLayer, get_layer
from .layers.base import PUBLICATION
from .names import group_name
from .protocols.messages import Publication

if TYPE_CHECKING:
    from .session import Session

logger = logging.getLogger("realtime.hub")

_decode_publication = msgspec.json.Decoder(Publication).decode


@dataclass(slots=True)
class LocalRoom:
    """A room as seen from this process."""

    sessions: set[Session] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    in_group: bool = False


class Hub:
    """Joins the Redis-backed group of a room once for all local sessions, and hands out what comes.

    A socket costs no subscription and no task a message. `deliver` never waits: sessions queue what
    they get, so that a slow one delays nobody.
    """

    def __init__(self, layer: RoomLayer) -> None:
        self.layer = layer
        self.rooms: dict[str, LocalRoom] = {}
        self._channel = ""
        self._receiving: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()

    async def enter(self, name: str) -> None:
        """Make sure that publications of the room reach this process.

        Raises `LayerUnavailable`. Follow it by `add` with no await between, or by `release`.
        """
        await self._start()
        while True:
            room = self.rooms.setdefault(name, LocalRoom())
            async with room.lock:
                if self.rooms.get(name) is not room:
                    continue  # dropped as empty while this task waited for its lock
                if not room.in_group:
                    await self.layer.group_add(group_name(name), self._channel)
                    room.in_group = True
                return

    def add(self, name: str, session: Session) -> None:
        self.rooms[name].sessions.add(session)

    def leave(self, name: str, session: Session) -> None:
        """From the next line on, nothing of the room reaches `session`."""
        room = self.rooms.get(name)
        if room is None:
            return
        room.sessions.discard(session)
        self.release(name)

    def release(self, name: str) -> None:
        """Leave the group in the background when no local session is in the room."""
        room = self.rooms.get(name)
        if room is not None and not room.sessions:
            task = asyncio.create_task(self._leave_group(name, room))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def deliver(self, name: str, publication: Publication) -> None:
        """Hand a publication to every local session of the room, encoded once a protocol."""
        room = self.rooms.get(name)
        if room is None:
            return
        frames: dict[str, str] = {}
        # A copy: a session that is cut for its full outbox leaves the room at once.
        for session in list(room.sessions):
            protocol = session.protocol
            frame = frames.get(protocol.name)
            if frame is None:
                frame = frames[protocol.name] = protocol.encode_publication(name, publication)
            session.deliver(frame)

    async def close(self) -> None:
        """Stop receiving. Used when the process ends."""
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.gather(self._receiving, return_exceptions=True)
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def _start(self) -> None:
        async with self._starting:
            if self._receiving is None:
                self._channel = await self.layer.new_channel("realtime.hub.")
                self._receiving = asyncio.create_task(self._receive(), name="realtime-hub")

    async def _receive(self) -> None:
        while True:
            message = await self.layer.receive(self._channel)
            try:
                self._dispatch(message)
            except Exception:
                # One message that can't be read must not end the delivery of all others.
                logger.exception("a message of the channel layer could not be delivered")

    def _dispatch(self, message: dict[str, Any]) -> None:
        if message["type"] != PUBLICATION:
            logger.warning("a message of unknown type came to the hub: %r", message["type"])
            return
        publication = _decode_publication(message["body"])
        publication.offset = message["offset"]
        self.deliver(message["room"], publication)

    async def _leave_group(self, name: str, room: LocalRoom) -> None:
        async with room.lock:
            if room.sessions or not room.in_group:
                return
            try:
                await self.layer.group_discard(group_name(name), self._channel)
            except Exception as error:
                # Still in the group: what comes for the room finds no session.
                logger.warning("a group could not be left: %s", type(error).__name__)
                return
            room.in_group = False
            if self.rooms.get(name) is room and not room.sessions:
                del self.rooms[name]


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def get_hub() -> Hub:
    """The hub of the running event loop, for the layer that is configured now."""
    loop, layer = asyncio.get_running_loop(), get_layer()
    hub = _hubs.get(loop)
    if hub is None or hub.layer is not layer:
        hub = _hubs[loop] = Hub(layer)
    return hub


async def close_hub() -> None:
    """Close the hub of the running event loop, if there is one."""
    hub = _hubs.pop(asyncio.get_running_loop(), None)
    if hub is not None:
        await hub.close()

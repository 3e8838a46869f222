"""One per process and event loop: joins groups, and hands what comes to the rooms that are here."""

from __future__ import annotations

import asyncio
import logging
from math import inf
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..concurrency import tasks
from ..concurrency.batching import Lookups
from ..control.listener import Control
from ..control.reviewer import Reviewer
from ..exceptions import AuthenticationError, LayerUnavailable
from ..layers import RoomLayer, get_layer
from ..layers.base import PRESENCE
from ..layers.groups import group_name
from ..rooms.publications import Position, Publication
from .feed import Start
from .limits import CommandLimit, Doorway
from .local_room import LocalRoom
from .presence import Roster
from .registry import Registry
from .ticks import Tail

if TYPE_CHECKING:
    from ..connection.session import Session

logger = logging.getLogger("realtime.hub")

PATROL_SECONDS = 1.0
POSITIONS_AT_ONCE = 200


class Hub:
    """Joins the Redis-backed group of a room once for all local sessions, and hands out what comes.

    A socket costs no subscription and no task a message. Delivery never waits: sessions queue what
    they get, so that a slow one delays nobody.
    """

    def __init__(self, layer: RoomLayer) -> None:
        self.layer = layer
        self.roster = Roster(layer)
        self.registry = Registry(layer)
        self.commands = CommandLimit(layer)
        self.doorway = Doorway()
        self.rooms: dict[str, LocalRoom] = {}
        self.sessions: set[Session] = set()
        self.tail = Tail()
        self.reviewer = Reviewer(layer)
        self._last_changes: Lookups[tuple[str, str], float] = Lookups(self._ask_for_changes)
        self._control = Control(layer, self.sessions, self.reviewer, self._start_receiving)
        self._channel = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._starting = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self._patrol_now = asyncio.Event()

    async def last_change(self, user: str, room: str) -> float:
        """When rights of `user`, who may be in `room`, have changed last, in any process: Unix time
        in ms, or -1; infinite where they were gone until now. Raises `LayerUnavailable`."""
        changed_at = await self._last_changes.ask((user, room), (user, room))
        if changed_at == inf:
            await self.layer.mark_changes([(user, room)])
        return changed_at

    async def start(self, name: str, since: Position | None = None) -> Start:
        """Make sure that the room's publications reach this process, and say where they begin for a
        session that is added now; with `since`, also what it has missed.

        Raises `LayerUnavailable`. Follow it by `add` with no await between, and by `release`.
        """
        await self._start_receiving()
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = LocalRoom(name, self.layer, self.tail)
        room.starting += 1
        try:
            async with room.lock:
                if not room.in_group:
                    await self.layer.group_add(group_name(name), self._channel)
                    room.in_group = True
            return await room.feed.start(since)
        finally:
            room.starting -= 1

    def add(self, name: str, session: Session, *, watches: bool = False) -> None:
        self.rooms[name].add(session, watches=watches)

    def leave(self, name: str, session: Session) -> None:
        """From the next line on, nothing of the room reaches `session`."""
        room = self.rooms.get(name)
        if room is not None:
            room.remove(session)
            self.release(name)

    def release(self, name: str) -> None:
        """Leave the group in the background when no local session is in the room."""
        room = self.rooms.get(name)
        if room is not None and room.is_idle:
            task = asyncio.create_task(self._leave_group(name, room))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Stop receiving, and leave nothing behind. Used when the process ends."""
        await self._control.close()
        await self.reviewer.close()
        await self.commands.close()
        await self.roster.close()
        await self.registry.close()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await tasks.cancel(*self._tasks)
        for room in self.rooms.values():
            await room.feed.close()

    async def hear_changes(self) -> None:
        """Wait until this process hears what changes in Django. Raises `LayerUnavailable`."""
        await self._control.hear()

    def enroll(self, session: Session) -> None:
        """Keep a session's rights current. Raises `AuthenticationError` when it is signed out."""
        if session.sign_in and self._control.has_ended(session.sign_in):
            raise AuthenticationError("signed out")
        self.reviewer.enroll(session)

    async def _ask_for_changes(self, asked: list[tuple[str, str]]) -> list[float | Exception]:
        return list(await self.layer.last_changes(asked))

    def check_soon(self) -> None:
        """Compare every room with where it really stands: broadcasts may have been missed."""
        self._control.on_gap()
        for room in self.rooms.values():
            room.check_at = 0.0
        self._patrol_now.set()
        self.roster.refresh()

    # What comes through the layer

    async def _start_receiving(self) -> str:
        """The channel of this hub, from now on read."""
        async with self._starting:
            if not self._tasks:
                self._channel = await self.layer.new_channel("realtime.hub.")
                self.layer.on_message(self._channel, self._receive, self._receive_publication)
                self.layer.on_reconnect(self.check_soon)
                self._tasks = [asyncio.create_task(self._patrol(), name="realtime-patrol")]
        return self._channel

    def _receive_publication(self, name: str, epoch: str, publication: Publication) -> None:
        room = self.rooms.get(name)
        if room is None:
            return
        try:
            room.feed.accept(epoch, publication)
        except Exception:
            logger.exception("a publication could not be delivered")

    def _receive(self, message: dict[str, Any]) -> None:
        try:
            self._dispatch(message)
        except Exception:
            # One message that can't be read must not end the delivery of all others.
            logger.exception("a message of the channel layer could not be delivered")

    def _dispatch(self, message: dict[str, Any]) -> None:
        if message["type"] != PRESENCE:
            self._control.obey(message)
        elif (room := self.rooms.get(message["room"])) is not None:
            room.tell_watchers(message["joined"], message["left"])

    # What goes wrong unseen

    async def _patrol(self) -> None:
        """Find gaps that no later message shows."""
        while True:
            try:
                async with asyncio.timeout(PATROL_SECONDS):
                    await self._patrol_now.wait()
            except TimeoutError:
                pass
            self._patrol_now.clear()
            now = asyncio.get_running_loop().time()
            due = [name for name, room in self.rooms.items() if room.check_at <= now]
            for start in range(0, len(due), POSITIONS_AT_ONCE):
                try:
                    await self._check(due[start : start + POSITIONS_AT_ONCE])
                except LayerUnavailable:
                    break  # those that were not checked stay due
                except Exception:
                    logger.exception("the positions of rooms could not be checked")

    async def _check(self, names: list[str]) -> None:
        asked_at = {name: self.rooms[name].feed.position for name in names if name in self.rooms}
        for name, position in (await self.layer.positions(list(asked_at))).items():
            room = self.rooms.get(name)
            if room is not None:
                room.check_later()
                room.feed.compare(position, asked_at[name])

    async def _leave_group(self, name: str, room: LocalRoom) -> None:
        async with room.lock:
            if not room.is_idle or self.rooms.get(name) is not room:
                return
            if room.in_group:
                room.in_group = False
                room.feed.forget()
                try:
                    await self.layer.group_discard(group_name(name), self._channel)
                except LayerUnavailable as error:
                    # What still comes for the room finds no session.
                    logger.debug("a group could not be left: %s", error)
            if room.is_idle:
                del self.rooms[name]
                await room.feed.close()


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

"""The rooms of one process and event loop: joins their groups, and hands what comes to them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from ..concurrency import tasks
from ..concurrency.background import attempt
from ..exceptions import LayerUnavailable
from ..layers import RoomLayer
from ..layers.base import PRESENCE, UNREADABLE
from ..layers.groups import group_name
from ..rooms.publications import Position, Publication
from ..sparse_log import SparseLogs
from .feed import JoinPoint
from .lag import LagSampler
from .local_room import LocalRoom, Recipient
from .ticks import TickQueue

logger = logging.getLogger("realtime.hub")

_unreadable = SparseLogs(logger)

PATROL_SECONDS = 1.0
POSITIONS_AT_ONCE = 200


class Hub:
    """Joins the Redis-backed group of a room once for all local members, and fans out what comes.

    A socket costs no subscription and no task a message. Delivery never waits: members queue what
    they get, so that a slow one delays nobody.

    `on_control_message` is called with what comes for this process itself, `on_gap` when messages
    may have been missed.
    """

    def __init__(
        self,
        layer: RoomLayer,
        on_control_message: Callable[[dict[str, Any]], None],
        on_gap: Callable[[], None],
    ) -> None:
        self._layer = layer
        self._on_control_message = on_control_message
        self._on_gap = on_gap
        self.rooms: dict[str, LocalRoom] = {}
        self.ticks = TickQueue()
        self._lag = LagSampler(layer)
        self._channel = ""
        self._patrolling: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self._patrol_now = asyncio.Event()

    def entering(self, name: str, since: Position | None = None) -> Entering:
        """Enter a room: `async with hub.entering(name, since) as entry:`, then `entry.add(...)`.

        In the block the room's publications reach this process. `entry.point()` is the position of
        a member that is added before anything is awaited; with `since`, also what it has missed.
        Raises `LayerUnavailable`.
        """
        return Entering(self, name, since)

    def suspend(self, name: str, member: Recipient) -> None:
        """Keep what is published for a member, until it is clear whether it may have it."""
        room = self.rooms.get(name)
        if room is not None and member in room.sessions:
            room.suspended.begin(member)

    def resume(self, name: str, member: Recipient) -> None:
        if (room := self.rooms.get(name)) is not None:
            room.suspended.end(member)

    def leave(self, name: str, member: Recipient) -> None:
        """Take a member out. From the next line on, nothing of the room reaches it."""
        room = self.rooms.get(name)
        if room is not None:
            room.remove(member)
            self.release(room)

    def room(self, name: str) -> LocalRoom:
        """The room called `name`, known from now on until it is released."""
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = LocalRoom(name, self._layer, self.ticks, self._lag)
        return room

    async def receive_for(self, room: LocalRoom) -> None:
        """Make sure that what is published in `room` reaches this process."""
        await self.open_channel()
        async with room.lock:
            if not room.in_group:
                await self._layer.group_add(group_name(room.name), self._channel)
                room.in_group = True

    def release(self, room: LocalRoom) -> None:
        """Leave the group in the background if no local member is in the room."""
        if room.is_idle:
            task = asyncio.create_task(self._leave_group(room))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def open_channel(self) -> str:
        """The channel of this process, from now on read."""
        async with self._opening:
            if self._patrolling is None:
                self._channel = await self._layer.new_channel("realtime.hub.")
                self._layer.on_message(self._channel, self._receive, self._receive_publication)
                self._layer.on_reconnect(self._on_gap)
                self._patrolling = asyncio.create_task(self._patrol(), name="realtime-patrol")
        return self._channel

    def check_all(self) -> None:
        """Compare every room with the layer now."""
        for room in self.rooms.values():
            room.check_at = 0.0
        self._patrol_now.set()

    async def close(self) -> None:
        """Stop receiving, and leave nothing behind. Used when the process ends."""
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await tasks.cancel(self._patrolling)
        for room in self.rooms.values():
            await room.feed.close()

    # What comes through the layer

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
        except (LookupError, TypeError, ValueError):
            self._report_unreadable(str(message.get("room", "")))
        except Exception:
            # One message that can't be delivered must not end the delivery of all others.
            logger.exception("a message of the channel layer could not be delivered")

    def _report_unreadable(self, group: str) -> None:
        """Report what another program has sent: the room by its name, if there is one here."""
        _unreadable.warning(
            group, "a message of another program was ignored: %s", partial(self._source, group)
        )

    def _source(self, group: str) -> str:
        for name in self.rooms:
            if name == group or group.endswith(group_name(name)):
                return f"in the room {name!r}"
        return f"in the group {group!r}"

    def _dispatch(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == UNREADABLE:
            self._report_unreadable(message["group"])
        elif kind != PRESENCE:
            self._on_control_message(message)
        elif (room := self.rooms.get(message["room"])) is not None:
            room.notify_watchers(message["joined"], message["left"])

    # Losses that nothing reports

    async def _patrol(self) -> None:
        """Find gaps that no later message shows."""
        while True:
            try:
                async with asyncio.timeout(PATROL_SECONDS):
                    await self._patrol_now.wait()
            except TimeoutError:
                pass
            self._patrol_now.clear()
            await attempt(self._check_due, "the positions of rooms could not be checked", logger)
            await attempt(self._lag.look, "the lag of messages could not be measured", logger)

    async def _check_due(self) -> None:
        """Check the rooms whose time has come. Those behind a failure stay due."""
        now = asyncio.get_running_loop().time()
        due = [name for name, room in self.rooms.items() if room.check_at <= now]
        for start in range(0, len(due), POSITIONS_AT_ONCE):
            await self._check(due[start : start + POSITIONS_AT_ONCE])

    async def _check(self, names: list[str]) -> None:
        asked_at = {name: self.rooms[name].feed.position for name in names if name in self.rooms}
        # Rooms that could not be read are left out: they stay due.
        for name, position in (await self._layer.positions(list(asked_at))).items():
            room = self.rooms.get(name)
            if room is not None:
                room.check_later()
                room.feed.compare(position, asked_at[name])

    async def _leave_group(self, room: LocalRoom) -> None:
        async with room.lock:
            if not room.is_idle or self.rooms.get(room.name) is not room:
                return
            if room.in_group:
                room.in_group = False
                room.feed.forget()
                try:
                    await self._layer.group_discard(group_name(room.name), self._channel)
                except LayerUnavailable as error:
                    # What still comes for the room finds no member.
                    logger.debug("a group could not be left: %s", error)
            if room.is_idle:
                del self.rooms[room.name]
                await room.feed.close()


class Entering:
    """The time in which a member enters a room: the room stays, even if nobody is in it yet."""

    __slots__ = ("_hub", "_point", "_room", "_since")

    _point: JoinPoint

    def __init__(self, hub: Hub, name: str, since: Position | None) -> None:
        self._hub = hub
        self._room = hub.room(name)
        self._since = since

    async def __aenter__(self) -> Entering:
        self._room.entering += 1
        self._room.feed.begin_joining()
        try:
            await self._hub.receive_for(self._room)
            self._point = await self._room.feed.join_point(self._since)
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        self._end()

    def point(self) -> JoinPoint | None:
        """The position of a member that is added now; None if it has to enter again."""
        return self._room.feed.move_on(self._point)

    @property
    def began_at(self) -> Position:
        """The position when it began to enter."""
        return self._point.position

    def late(self) -> list[Publication] | None:
        """What was published since it began to enter; None if that is too much: enter again."""
        return self._room.feed.late(self._point)

    def add(self, member: Recipient, *, watches: bool = False) -> None:
        """Add a member; with `watches` it is notified of members who join or leave."""
        self._room.add(member, watches=watches)

    def _end(self) -> None:
        self._room.entering -= 1
        self._room.feed.end_joining()
        self._hub.release(self._room)

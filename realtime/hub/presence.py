"""Presence: writes which members of this process are in which room, for all processes to read."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable
from itertools import islice

from ..concurrency import tasks
from ..concurrency.background import DelayedCalls, until_done
from ..conf import realtime_settings
from ..exceptions import LayerUnavailable
from ..layers import RoomLayer
from ..layers.base import PRESENCE
from ..layers.groups import group_name
from ..layers.records import Member, PresenceChange, PresenceNews

logger = logging.getLogger("realtime.presence")

REFRESHES_PER_TTL = 3
CHANGES_AT_ONCE = 500
SETTLE_SECONDS = 2.0


class PresenceTracker:
    """Keeps the presence of this process's connections alive, in one write for all of them.

    Entering and leaving never wait: changes that come during a write are written together after it.
    A process that is killed cannot report its members. Their entries expire, and the next process
    that writes about the room reports that they have left.

    `on_news` is called with who has come and gone, once in all processes for each change.
    """

    def __init__(
        self, layer: RoomLayer, on_news: Callable[[list[PresenceNews]], None] | None = None
    ) -> None:
        self._layer = layer
        self._on_news = on_news
        self._members: defaultdict[str, dict[str, Member]] = defaultdict(dict)
        self._entered: dict[tuple[str, str], Member] = {}
        self._ended: set[tuple[str, str]] = set()
        self._to_sweep: set[str] = set()
        self._delayed = DelayedCalls()
        self._news: list[PresenceNews] = []
        self._changed = asyncio.Event()
        self._written = asyncio.Event()
        self._unwritten: list[dict[str, PresenceChange]] = []
        """What is just being written, or could not be."""
        self._writing: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    def enter(self, room: str, member: Member) -> None:
        self._members[room][member.client] = member
        self._entered[room, member.client] = member
        self._ended.discard((room, member.client))
        self._wake()

    def leave(self, room: str, client: str) -> None:
        members = self._members.get(room, {})
        if members.pop(client, None) is None:
            return
        if not members:
            del self._members[room]
        self._entered.pop((room, client), None)
        self._ended.add((room, client))
        # The member may come back within this time. Afterwards somebody has to look.
        pause = realtime_settings.PRESENCE_LEAVE_SECONDS + 0.1
        self._delayed.call_later(pause, lambda: self._sweep(room))
        self._wake()

    def refresh(self) -> None:
        """Write all members again, for example after Redis was away."""
        for room in list(self._members):
            self.refresh_room(room)
        self._wake()

    def refresh_room(self, room: str) -> None:
        """Write the members of one room again, for example after its keys were lost."""
        members = self._members.get(room)
        if members:
            self._entered.update({(room, client): member for client, member in members.items()})
            self._to_sweep.add(room)
            self._wake()

    async def settle(self, room: str) -> None:
        """Wait until all members who entered or left a room so far are written.

        Raises `LayerUnavailable` when that takes too long.
        """
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while self._is_waiting(room):
                    self._written.clear()
                    await self._written.wait()
        except TimeoutError as error:
            raise LayerUnavailable("presence can't be written") from error

    async def close(self) -> None:
        """Report that every connection has ended."""
        for room, members in list(self._members.items()):
            for client in list(members):
                self.leave(room, client)
        self._delayed.cancel()
        await tasks.cancel(self._writing, self._refreshing)
        self._writing = self._refreshing = None
        if self._ended:
            try:
                await self._write()
            except LayerUnavailable:
                logger.info(
                    "presence could not be cleaned; remaining Redis entries expire with their TTL"
                )

    def _wake(self) -> None:
        self._changed.set()
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_changes(), name="realtime.presence")
            self._refreshing = asyncio.create_task(self._refresh_often(), name="realtime-refresh")

    def _is_waiting(self, room: str) -> bool:
        return (
            any(room in changes for changes in self._unwritten)
            or any(each == room for each, _ in self._entered)
            or any(each == room for each, _ in self._ended)
            or any(news.room == room for news in self._news)
        )

    def _sweep(self, room: str) -> None:
        self._to_sweep.add(room)
        self._wake()

    async def _refresh_often(self) -> None:
        while True:
            pause = realtime_settings.PRESENCE_TTL_SECONDS / REFRESHES_PER_TTL
            await asyncio.sleep(pause * random.uniform(0.8, 1))
            self.refresh()

    async def _write_changes(self) -> None:
        while True:
            await self._changed.wait()
            await until_done(self._write, "presence could not be written", logger)

    async def _write(self) -> None:
        """Write what has changed, and notify the rooms of who joined or left.

        Rooms that can't be written hold up no other: they come last the next time. Raises
        `LayerUnavailable` if there are any.
        """
        unsent: list[PresenceNews] = []
        try:
            while self._entered or self._ended or self._to_sweep or self._news:
                if self._news:
                    await self._announce(self._news[0], unsent)
                    del self._news[0]
                    continue
                changes = self._take()
                self._unwritten.append(changes)
                news = await self._layer.update_presence(list(changes.values()))
                self._news += news
                if self._on_news is not None:
                    self._on_news(news)
                for each in news:
                    changes.pop(each.room, None)
                self._written.set()
            is_done = not unsent and not any(self._unwritten)
        finally:
            unwritten, self._unwritten = self._unwritten, []
            for changes in unwritten:
                self._take_back(changes)
            self._news += unsent
            self._written.set()
        if not is_done:
            raise LayerUnavailable("the presence of some rooms can't be written")
        self._changed.clear()

    def _take(self) -> dict[str, PresenceChange]:
        """The oldest changes, by their rooms."""
        entered = dict(islice(self._entered.items(), CHANGES_AT_ONCE))
        ended = set(islice(self._ended, CHANGES_AT_ONCE))
        swept = set(islice(self._to_sweep, CHANGES_AT_ONCE))
        self._entered = {key: member for key, member in self._entered.items() if key not in entered}
        self._ended -= ended
        self._to_sweep -= swept
        changes: dict[str, PresenceChange] = {room: PresenceChange(room) for room in swept}
        for (room, _), member in entered.items():
            changes.setdefault(room, PresenceChange(room)).present.append(member)
        for room, client in ended:
            changes.setdefault(room, PresenceChange(room)).ended.append(client)
        return changes

    def _take_back(self, changes: dict[str, PresenceChange]) -> None:
        for room, change in changes.items():
            for member in change.present:
                if (room, member.client) not in self._ended:
                    self._entered.setdefault((room, member.client), member)
            self._ended |= {
                (room, client) for client in change.ended if (room, client) not in self._entered
            }
            self._to_sweep.add(room)

    async def _announce(self, news: PresenceNews, unsent: list[PresenceNews]) -> None:
        """Notify a room, or add the news to `unsent`."""
        if news.joined or news.left:
            message = {
                "type": PRESENCE,
                "room": news.room,
                "joined": news.joined,
                "left": news.left,
            }
            try:
                await self._layer.group_send(group_name(news.room), message)
            except LayerUnavailable:
                unsent.append(news)

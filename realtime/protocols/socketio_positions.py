"""Where clients of Socket.IO are in the streams of all their rooms.

A client keeps only the last argument of the last event: one text. So this process numbers the
events of all rooms, and remembers at which number each room was at which offset. When a connection
ends, that is kept for the client, as a `Record`. With the text, the record gives the position in
each room.
"""

from __future__ import annotations

import re
import secrets
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from ..conf import realtime_settings
from ..rooms.publications import Position

RECORD_ENTRIES_MAX = 4_096
"""All rooms of a record together."""
_TEXT = re.compile(r"([0-9a-f]{12})\.([0-9]{1,15})\.([0-9]{1,15})\.([^.]*)\.(.*)\Z", re.ASCII)


class RoomLog:
    """At which numbers of the process a room was at which offset. It has an entry at each moment in
    which a connection has entered."""

    __slots__ = ("entries", "epoch", "last", "members")

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.members = 0
        self.last = -1
        # Who has missed more than can be recovered needs no entry.
        self.entries: deque[tuple[int, int]] = deque(
            maxlen=realtime_settings.RECOVERY_MAX_MESSAGES + 2
        )

    def add(self, number: int, offset: int) -> None:
        if offset > self.last:
            self.last = offset
            self.entries.append((number, offset))


class Joined(NamedTuple):
    """How a connection has entered a room: with which numbers it got what it had missed, and its
    position before that."""

    log: RoomLog
    begin: int
    end: int
    offset: int


class Journal:
    """The numbers of the events that a process has sent. One for all connections."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(6)
        self.number = 0
        self.logs: dict[str, RoomLog] = {}

    def next(self) -> int:
        self.number += 1
        return self.number

    def text(self, room: str, offset: int) -> str:
        """The last argument of the event of a publication, which has the next number."""
        number = self.next()
        log = self.logs.get(room)
        if log is None:
            return f"{self.id}.{number}.{offset}..{room}"
        log.add(number, offset)
        return f"{self.id}.{number}.{offset}.{log.epoch}.{room}"

    def replayed(self, room: str, offset: int, epoch: str) -> str:
        """The same for a publication that only one connection gets, because it has missed it."""
        return f"{self.id}.{self.next()}.{offset}.{epoch}.{room}"

    def enter(self, room: str, epoch: str) -> RoomLog:
        log = self.logs.get(room)
        if log is None or log.epoch != epoch:
            log = self.logs[room] = RoomLog(epoch)
        log.members += 1
        return log

    def leave(self, room: str, log: RoomLog) -> None:
        log.members -= 1
        if not log.members and self.logs.get(room) is log:
            del self.logs[room]


class RoomRecord(msgspec.Struct, array_like=True):
    epoch: str
    begin: int
    end: int
    offset: int
    entries: list[tuple[int, int]]


class Record(msgspec.Struct):
    """What is kept of a connection that has ended."""

    user: str
    journal: str
    rooms: dict[str, RoomRecord]

    def positions(self, last: str | None) -> dict[str, Position] | None:
        """The position of the client in each room, if `last` is what it has received last; None if
        it is not known any more. Without a `last` it has received nothing."""
        if last is None:
            return {name: Position(room.epoch, room.offset) for name, room in self.rooms.items()}
        found = _TEXT.match(last)
        if found is None:
            return None
        journal, number, offset, epoch, named = found.groups()
        if journal != self.journal:
            return self.positions(None)  # it is from an earlier connection
        positions = {}
        for name, room in self.rooms.items():
            at = room.offset
            if int(number) >= room.begin and named == name:
                if epoch != room.epoch:
                    return None
                at = int(offset)
            elif int(number) >= room.end:
                known = [entry[1] for entry in room.entries if entry[0] <= int(number)]
                if not known:
                    return None
                at = known[-1]
            positions[name] = Position(room.epoch, at)
        return positions


def record(user: str, journal: Journal, rooms: Iterable[tuple[str, Joined]]) -> Record:
    entered = dict(rooms)
    most = RECORD_ENTRIES_MAX // max(1, len(entered))
    return Record(
        user,
        journal.id,
        {
            name: RoomRecord(
                joined.log.epoch,
                joined.begin,
                joined.end,
                joined.offset,
                list(joined.log.entries)[-most:],
            )
            for name, joined in entered.items()
        },
    )

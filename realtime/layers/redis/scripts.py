"""The Lua scripts that Redis runs, each one atomic step, and what their replies mean."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Collection
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import hiredis
import msgspec

from ...conf import realtime_settings
from ...rooms.publications import Position, Retention
from ..groups import group_name
from ..records import Attendance, Change, PresenceChange

PUBLICATION_MARK = b"\xc1"
"""What a publication begins with that append.lua sends; nothing of msgpack does."""

META_TTL_SECONDS = 30 * 24 * 3600
"""How long a room's numbering outlives its last use: longer than any stream, so that an epoch never
comes back with other numbers."""

USER_TTL_SECONDS = 24 * 3600
"""How long a user's connections are counted after the last one was added or confirmed."""


class Script(NamedTuple):
    """A script's text, and the name by which Redis knows it."""

    text: str
    sha: str


def _load(name: str) -> Script:
    text = (Path(__file__).parent / "lua" / f"{name}.lua").read_text()
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


APPEND, HISTORY, PRESENCE, ATTENDANCE = map(_load, ("append", "history", "presence", "attendance"))
ADMIT, HEARTBEAT, MARK = map(_load, ("admit", "heartbeat", "mark"))
SCRIPTS = (APPEND, HISTORY, PRESENCE, ATTENDANCE, ADMIT, HEARTBEAT, MARK)


class Call(msgspec.Struct, frozen=True):
    """One run of a script."""

    script: Script
    command: tuple[Any, ...]
    """EVALSHA, the script's name, the number of keys, the keys, and what follows them."""


def _call(script: Script, keys: Collection[str], args: Collection[Any]) -> Call:
    return Call(script, ("EVALSHA", script.sha, len(keys), *keys, *args))


class Keys:
    """What the keys of a site are called."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def room(self, room: str, part: str) -> str:
        return f"{self._prefix}:room:{room}:{part}"

    def ticket(self, ticket: str) -> str:
        # Only a digest is kept: who can read Redis can't redeem a ticket.
        digest = hashlib.sha256(ticket.encode(errors="replace")).hexdigest()
        return f"{self._prefix}:ticket:{digest}"

    def user(self, user: str, part: str) -> str:
        digest = hashlib.blake2b(user.encode(errors="replace"), digest_size=16).hexdigest()
        return f"{self._prefix}:user:{digest}:{part}"

    def process(self, process: str, part: str) -> str:
        return f"{self._prefix}:process:{process}:{part}"

    def change(self, user: str | None, room: str | None) -> str:
        text = json.dumps([user, room])
        digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()
        return f"{self._prefix}:changed:{digest}"

    def ended_sign_ins(self) -> str:
        return f"{self._prefix}:ended_sign_ins"

    def processes(self) -> str:
        return f"{self._prefix}:processes"

    def of_publications(self, room: str) -> tuple[str, str, str, str]:
        """What an append needs, looked up for each: the meta hash, the stream, a key for no
        idempotency key, and the channel of the group."""
        return _keys_of_publications(self._prefix, room)

    def around_publications(self, room: str, keep: Retention) -> tuple[bytes, bytes]:
        """What stands in an append before the epoch and the message, and behind them."""
        return _around_publications(self._prefix, room, keep)


@lru_cache(maxsize=16_384)
def _around_publications(prefix: str, room: str, keep: Retention) -> tuple[bytes, bytes]:
    command = append(Keys(prefix), room, b"message", keep, "").command
    epoch = command[command.index(b"message") - 1]
    packed = hiredis.pack_command(command)
    head, tail = packed.split(b"$8\r\n%b\r\n$7\r\nmessage\r\n" % epoch.encode())
    return head, tail


@lru_cache(maxsize=16_384)
def _keys_of_publications(prefix: str, room: str) -> tuple[str, str, str, str]:
    keys = Keys(prefix)
    # As channels_redis calls the channel of a group.
    channel = f"{prefix}__group__{group_name(room)}"
    return keys.room(room, "meta"), keys.room(room, "stream"), keys.room(room, "once"), channel


def append(keys: Keys, room: str, message: bytes, keep: Retention, once: str) -> Call:
    meta, stream, unused, channel = keys.of_publications(room)
    key, ttl = unused, 0
    if once:
        key = keys.room(room, f"once:{_digest(once)}")
        ttl = int(realtime_settings.IDEMPOTENCY_TTL_SECONDS)
    names = ("EVALSHA", APPEND.sha, 3, meta, stream, key, channel, _new_epoch())
    return Call(APPEND, (*names, message, META_TTL_SECONDS, keep.size, keep.ttl_seconds, ttl))


def packed_append(keys: Keys, room: str, message: bytes, keep: Retention) -> bytes:
    """The command of `append` as it goes over the wire: but for two parts the same each time."""
    head, tail = keys.around_publications(room, keep)
    epoch, size = random.getrandbits(32), len(message)
    return b"%b$8\r\n%08x\r\n$%d\r\n%b\r\n%b" % (head, epoch, size, message, tail)


def history(keys: Keys, room: str, since: int | None, limit: int, reverse: bool) -> Call:
    start, end = "-", "+"
    if since is not None:
        start, end = ("-", f"({since}-0") if reverse else (f"{since + 1}-0", "+")
    order = ["-", end, start] if reverse else ["+", start, end]
    return _call(
        HISTORY,
        [keys.room(room, "meta"), keys.room(room, "stream")],
        [_new_epoch(), META_TTL_SECONDS, limit, *order],
    )


def presence(keys: Keys, change: PresenceChange) -> Call:
    members = [part for member in change.present for part in member]
    return _call(
        PRESENCE,
        [keys.room(change.room, part) for part in ("connections", "expiry", "people", "ended")],
        [
            _milliseconds(realtime_settings.PRESENCE_TTL_SECONDS),
            _milliseconds(realtime_settings.PRESENCE_LEAVE_SECONDS),
            len(change.present),
            *members,
            *change.ended,
        ],
    )


def attendance(keys: Keys, room: str, infos: bool) -> Call:
    parts = [keys.room(room, part) for part in ("connections", "expiry")]
    return _call(ATTENDANCE, parts, ["1" if infos else "0"])


def admit(keys: Keys, process: str, client: str, user: str, limit: int) -> Call:
    ttl_ms = _milliseconds(realtime_settings.PROCESS_TTL_SECONDS)
    return _call(
        ADMIT,
        [keys.user(user, "connections"), keys.processes()],
        [client, process, limit, ttl_ms, USER_TTL_SECONDS * 1000],
    )


def heartbeat(keys: Keys, process: str, ttl_ms: int) -> Call:
    return _call(HEARTBEAT, [keys.processes()], [process, ttl_ms])


def mark(keys: Keys, changes: Collection[Change], gone: bool) -> Call:
    names = [keys.change(*change) for change in changes]
    return _call(MARK, names, [META_TTL_SECONDS, "1" if gone else "0"])


def to_last_change(times: list[bytes | None]) -> float:
    """The latest of what was written down by `mark`, in ms."""
    known = [time for time in times if time is not None]
    return max((inf if time == b"gone" else int(time) for time in known), default=-1)


def to_position(reply: list[Any]) -> Position:
    epoch, offset, *_ = reply
    return Position(epoch.decode(), int(offset))


def to_publications(reply: list[Any]) -> list[tuple[int, int, bytes]]:
    """Offset, time in ms, and message of each kept publication."""
    return [(*map(int, id.split(b"-")), message) for id, message in reply[2]]


def to_attendance(reply: list[Any]) -> Attendance:
    clients, users, infos = reply
    return Attendance(clients, users, infos)


def _new_epoch() -> str:
    return f"{random.getrandbits(32):08x}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)

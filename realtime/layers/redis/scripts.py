"""The Lua scripts that Redis runs, each one atomic step: their commands and replies."""

from __future__ import annotations

import hashlib
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
from ..records import Attendance, Change, PresenceChange
from .keys import Keys

META_TTL_SECONDS = 30 * 24 * 3600
"""Time for which the numbering of a room is kept after its last use: longer than any stream, so
that an epoch never comes back with other numbers."""

USER_TTL_SECONDS = 24 * 3600
"""Time for which the connections of a user count after the last one was added or confirmed."""


class Script(NamedTuple):
    """The text of a script, and the digest by which Redis knows it.

    Redis forgets scripts when it ends. Each site has its own, so Redis knows one only after
    `adopt`, the command that this site sends first, was run.
    """

    text: str
    sha: str
    adopt: tuple[Any, ...]


def _read(name: str) -> str:
    return (Path(__file__).parent / "lua" / f"{name}.lua").read_text()


NAMES = (
    *("append", "history", "presence", "attendance", "admit"),
    *("heartbeat", "mark", "renew", "earlier"),
)
_LINEAGE = _read("lineage")
_TEXTS = {
    name: (_LINEAGE if name in ("append", "history", "renew") else "") + _read(name)
    for name in NAMES
}
# Also if Redis is out of memory: messages are still sent then.
_ADOPT = f"#!lua flags=allow-oom\n{_LINEAGE}{_read('adopt')}"


@lru_cache(maxsize=1024)
def script(keys: Keys, name: str) -> Script:
    """The script of a site."""
    text = f"-- {keys.site}\n{_TEXTS[name]}"
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return Script(text, sha, adopt(keys))


def adopt(keys: Keys) -> tuple[Any, ...]:
    """The command by which a site takes note of the run of Redis: see `lua/lineage.lua`. The reply
    is 0 if Redis does not tell which run it is."""
    return "EVAL", _ADOPT, 1, keys.runs()


def all_of(keys: Keys) -> list[Script]:
    """All scripts of a site."""
    return [script(keys, name) for name in NAMES]


class Call(msgspec.Struct, frozen=True):
    """One run of a script."""

    script: Script
    command: tuple[Any, ...]
    """EVALSHA, the digest of the script, the number of keys, the keys, the arguments."""


def _call(keys: Keys, name: str, names: Collection[str], args: Collection[Any]) -> Call:
    called = script(keys, name)
    return Call(called, ("EVALSHA", called.sha, len(names), *names, *args))


def append(keys: Keys, room: str, message: bytes, keep: Retention, once: str) -> Call:
    meta, stream, unused, channel = keys.publications(room)
    key, ttl = unused, 0
    if once:
        key = keys.idempotency(room, once)
        ttl = int(realtime_settings.IDEMPOTENCY_TTL_SECONDS)
    return _call(
        *(keys, "append", [meta, stream, key, keys.runs()]),
        [channel, _new_epoch(), message, META_TTL_SECONDS, keep.size, keep.ttl_seconds, ttl],
    )


def packed_append(keys: Keys, room: str, message: bytes, keep: Retention) -> bytes:
    """The command of `append` as it goes over the wire: but for two parts the same each time."""
    head, tail = _around_message(keys, room, keep)
    epoch, size = random.getrandbits(32), len(message)
    return b"%b$8\r\n%08x\r\n$%d\r\n%b\r\n%b" % (head, epoch, size, message, tail)


@lru_cache(maxsize=16_384)
def _around_message(keys: Keys, room: str, keep: Retention) -> tuple[bytes, bytes]:
    """The bytes of an append before its epoch and message, and those behind them."""
    command = append(keys, room, b"message", keep, "").command
    epoch = command[command.index(b"message") - 1]
    packed = hiredis.pack_command(command)
    head, tail = packed.split(b"$8\r\n%b\r\n$7\r\nmessage\r\n" % epoch.encode())
    return head, tail


def history(keys: Keys, room: str, since: int | None, limit: int, reverse: bool) -> Call:
    start, end = "-", "+"
    if since is not None:
        start, end = ("-", f"({since}-0") if reverse else (f"{since + 1}-0", "+")
    order = ["-", end, start] if reverse else ["+", start, end]
    return _call(
        *(keys, "history", _stream(keys, room)),
        [_new_epoch(), META_TTL_SECONDS, limit, *order, _most_bytes()],
    )


def earlier(keys: Keys, room: str, newest: int, ago_seconds: float) -> Call:
    most = realtime_settings.RECOVERY_MAX_MESSAGES
    return _call(
        keys, "earlier", [keys.room(room, "stream")], [newest, _milliseconds(ago_seconds), most]
    )


def renew(keys: Keys, room: str, epoch: str) -> Call:
    return _call(keys, "renew", _stream(keys, room), [epoch, _new_epoch(), META_TTL_SECONDS])


def _stream(keys: Keys, room: str) -> list[str]:
    return [keys.room(room, "meta"), keys.room(room, "stream"), keys.runs()]


def presence_keys(keys: Keys, room: str) -> list[str]:
    return [keys.room(room, part) for part in ("connections", "expiry", "people", "ended")]


def presence(keys: Keys, change: PresenceChange) -> Call:
    members = [part for member in change.present for part in member]
    return _call(
        *(keys, "presence", presence_keys(keys, change.room)),
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
    return _call(keys, "attendance", parts, ["1" if infos else "0"])


def admit(keys: Keys, process: str, client: str, user: str, limit: int) -> Call:
    ttl_ms = _milliseconds(realtime_settings.PROCESS_TTL_SECONDS)
    return _call(
        *(keys, "admit"),
        [keys.user(user, "connections"), keys.processes()],
        [client, process, limit, ttl_ms, USER_TTL_SECONDS * 1000],
    )


def heartbeat(keys: Keys, process: str, ttl_ms: int, hosts: str) -> Call:
    return _call(keys, "heartbeat", [keys.processes(), keys.hosts()], [process, ttl_ms, hosts])


def mark(keys: Keys, changes: Collection[Change], gone: bool) -> Call:
    names = [keys.change(*change) for change in changes]
    return _call(keys, "mark", names, [META_TTL_SECONDS, "1" if gone else "0"])


def to_last_change(times: list[bytes | None]) -> float:
    """The latest time that `mark` wrote, in ms; -1 for none, infinite while rights are gone."""
    known = [time for time in times if time is not None]
    # What is no time, such as "gone", is taken for the worst.
    return max((int(time) if time.isdigit() else inf for time in known), default=-1)


def to_position(reply: list[Any]) -> Position:
    epoch, offset, *_ = reply
    return Position(epoch.decode(), int(offset))


def to_publications(reply: list[Any]) -> list[tuple[int, int, bytes]]:
    """Offset, time in ms, and message of each kept publication."""
    return [(*map(int, id.split(b"-")), message) for id, message in reply[2]]


def to_attendance(reply: list[Any]) -> Attendance:
    clients, users, infos = reply
    return Attendance(clients, users, infos)


def to_seconds(reply: Any) -> float:
    """The reply of TIME as Unix time in seconds."""
    seconds, microseconds = map(int, reply)
    return seconds + microseconds / 1_000_000


def _new_epoch() -> str:
    return f"{random.getrandbits(32):08x}"


def _most_bytes() -> int:
    """How many bytes one call reads: a whole recovery, which takes more if it is encrypted."""
    return 2 * int(realtime_settings.RECOVERY_MAX_BYTES)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)

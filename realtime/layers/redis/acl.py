"""What a user of Redis must be allowed: the rule with the least rights, and what an account lacks.

`TRIALS` names each command that the layer uses. Redis decides about a right before it runs a
command, so each of them can be tried on a key that nobody else has.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any

import redis
from redis.client import PubSub
from redis.exceptions import ResponseError

from .availability import THREAD_TIMEOUT_SECONDS
from .refusals import refusal

KEY, CHANNEL = "<key>", "<channel>"
_SCRIPT = "return 1"
_DIGEST = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"

TRIALS: tuple[tuple[Any, ...], ...] = (
    # Of connections
    ("PING",),
    ("TIME",),
    ("INFO", "server"),
    # Scripts
    ("EVAL", _SCRIPT, 1, KEY),
    ("EVALSHA", _DIGEST, 1, KEY),
    ("SCRIPT LOAD", _SCRIPT),
    # Keys and values
    ("SET", KEY, "1", "PX", 1),
    ("GETDEL", KEY),
    ("GET", KEY),
    ("MGET", KEY),
    ("DEL", KEY),
    ("TYPE", KEY),
    ("EXPIRE", KEY, 1),
    ("PEXPIRE", KEY, 1),
    ("INCRBY", KEY, 1),
    ("DEL", KEY),
    # Rooms and connections
    ("HSET", KEY, "field", "1"),
    ("HSETNX", KEY, "field", "1"),
    ("HGET", KEY, "field"),
    ("HMGET", KEY, "field"),
    ("HGETALL", KEY),
    ("HVALS", KEY),
    ("HEXISTS", KEY, "field"),
    ("HLEN", KEY),
    ("HINCRBY", KEY, "field", 1),
    ("HDEL", KEY, "field"),
    ("DEL", KEY),
    # Those that are alive
    ("ZADD", KEY, 1, "member"),
    ("ZSCORE", KEY, "member"),
    ("ZCARD", KEY),
    ("ZRANGEBYSCORE", KEY, 0, 1),
    ("ZREMRANGEBYSCORE", KEY, 0, 1),
    ("ZREM", KEY, "member"),
    ("DEL", KEY),
    # Publications and orders
    ("XADD", KEY, "*", "field", "1"),
    ("XRANGE", KEY, "-", "+", "COUNT", 1),
    ("XREVRANGE", KEY, "+", "-", "COUNT", 1),
    ("DEL", KEY),
    ("MULTI",),
    ("EXEC",),
    ("PUBLISH", CHANNEL, ""),
    ("PUBSUB NUMSUB", CHANNEL),
    ("SUBSCRIBE", CHANNEL),
    ("UNSUBSCRIBE", CHANNEL),
)

_KINDS = {"command": "the command", "key": "keys like", "channel": "channels like"}


def commands(database: int = 0) -> list[str]:
    """The commands of the layer, as ACL rules name them: `script|load`."""
    names = {str(trial[0]).lower().replace(" ", "|") for trial in TRIALS}
    return sorted(names | ({"select"} if database else set()))


def key_patterns(prefix: str) -> list[str]:
    return [f"{_escaped(prefix)}:*"]


def channel_patterns(prefix: str) -> list[str]:
    """Those of groups and rooms, and those of consumers."""
    return [f"{_escaped(prefix)}__group__*", f"{_escaped(prefix)}specific.*"]


def rule(user: str, prefix: str, database: int = 0) -> str:
    """The command that gives `user` the least rights with which the layer works. Its password is
    left to be filled in."""
    parts = [
        *("ACL", "SETUSER", user, "reset", "on", ">PASSWORD"),
        *(f"~{pattern}" for pattern in key_patterns(prefix)),
        *(f"&{pattern}" for pattern in channel_patterns(prefix)),
        *(f"+{command}" for command in commands(database)),
    ]
    return " ".join(map(_quoted, parts))


def missing(client: redis.Redis, prefix: str) -> Iterator[str]:
    """Try all commands, and yield what this account may not: `the command XADD`. Raises the errors
    of redis-py if Redis does not answer."""
    key = f"{prefix}:doctor:{secrets.token_hex(8)}"
    channels = [
        pattern.replace("\\", "")[:-1] + secrets.token_hex(8)
        for pattern in channel_patterns(prefix)
    ]
    one, listener = client.client(), client.pubsub()  # type: ignore[no-untyped-call]
    with one, listener:
        lacking = dict.fromkeys(_missing(one, listener, key, channels))
    for kind, name in lacking:
        yield f"{_KINDS[kind]} {key_patterns(prefix)[0] if kind == 'key' else name}"


def _missing(
    one: redis.Redis, listener: PubSub, key: str, channels: list[str]
) -> Iterator[tuple[str, str]]:
    for trial in TRIALS:
        for channel in channels if CHANNEL in trial else channels[:1]:
            parts = [{KEY: key, CHANNEL: channel}.get(part, part) for part in trial]
            try:
                if parts[0] in ("SUBSCRIBE", "UNSUBSCRIBE"):
                    getattr(listener, str(parts[0]).lower())(channel)
                    listener.get_message(timeout=THREAD_TIMEOUT_SECONDS)
                else:
                    one.execute_command(*parts)  # type: ignore[no-untyped-call]
            except ResponseError as error:
                refused = refusal(error)
                if refused is not None and refused.kind == "NOPERM":
                    yield _lacking(refused.words, trial, channel)
                # Other errors, such as that of an unknown digest, come from what was allowed.


def _lacking(words: str, trial: tuple[Any, ...], channel: str) -> tuple[str, str]:
    # "... has no permissions to run the 'xadd' command", "... to access one of the keys used as
    # arguments", "... to access one of the channels used as arguments"
    if "command" in words.partition("permissions to run")[2]:
        return "command", str(trial[0])
    if "key" in words and KEY in trial:
        return "key", ""
    if "channel" in words and CHANNEL in trial:
        ending = len(channel) - 16
        return "channel", f"{channel[:ending]}*"
    return "command", str(trial[0])


def _escaped(prefix: str) -> str:
    return re.sub(r"([*?\[\]\\^])", r"\\\1", prefix)


def _quoted(part: str) -> str:
    """As redis-cli reads it."""
    if re.fullmatch(r"[\w:*.,~&+|@>/-]+", part):
        return part
    escaped = part.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

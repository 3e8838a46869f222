"""Each Redis of the channel layer: whether it answers, and what it may do to the rooms."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import redis
from redis.exceptions import ResponseError

from ...exceptions import LayerUnavailable
from ...layers import get_layer
from ...layers.memory import MemoryRoomLayer
from ...layers.redis import RedisRoomLayer, acl
from .remarks import Remark

MOST_CLOCK_SECONDS = 1.0
SLOW_SECONDS = 0.05
LOWEST_VERSION = (7, 0)
LEAST_PUBSUB_BYTES = 8 * 1024 * 1024
"""Of a subscription that lags: a burst of large messages is more than one megabyte."""


def examine() -> Iterator[Remark]:
    try:
        layer = get_layer()
    except Exception:
        return  # the checks of the settings have said what is wrong
    if isinstance(layer, MemoryRoomLayer):
        yield Remark(
            "warning",
            "channel layer",
            "It lives within one process: others hear nothing, and a restart forgets everything.",
            'Use "realtime.layers.redis.RedisRoomLayer" where several processes serve the site.',
        )
        return
    if not isinstance(layer, RedisRoomLayer):
        return
    prefix = layer.topology.keys.prefix
    looks = layer.topology.examine_sync(lambda client: _Look(client, prefix))
    seen: set[str] = set()
    for index, look in enumerate(looks):
        about = f"Redis at {layer.topology.places[index]}"
        if isinstance(look, LayerUnavailable):
            yield Remark("error", about, str(look))
        elif look.run in seen:
            yield Remark("warning", about, "It is named twice in `hosts`.", "Name each Redis once.")
        else:
            yield from look.remarks(about)
            seen.add(look.run)


class _Look:
    """What one Redis tells about itself. Raises the errors of redis-py if it does not answer."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        started, asked_at = time.perf_counter(), time.time()
        client.ping()
        self.seconds = time.perf_counter() - started
        self.lacking = list(acl.missing(client, prefix))
        self.info: dict[str, Any] = _or_nothing(client.info, "everything")
        self.config: dict[str, str] = _or_nothing(client.config_get, "*")
        self.ahead_seconds = 0.0
        if "time" not in self.lacking and (found := _or_nothing(client.time)):
            now = (asked_at + time.time()) / 2
            self.ahead_seconds = now - (found[0] + found[1] / 1_000_000)
        self.run = str(self.info.get("run_id", id(self)))

    def remarks(self, about: str) -> Iterator[Remark]:
        found = [
            *self._rights(),
            *self._server(),
            *self._memory(),
            *self._persistence(),
            *self._replication(),
            *self._connections(),
            *self._clock(),
        ]
        if not any(level in ("warning", "error") for level, *_ in found):
            name = self.info.get("server_name", "redis")
            version = self.info.get(f"{name}_version") or self.info.get("redis_version", "")
            kind = f"{str(name).capitalize()} {version}".strip()
            yield Remark("fine", about, f"{kind} answers in {self.seconds * 1000:.1f} ms.")
        for level, text, cure in found:
            yield Remark(level, about, text, cure)

    def _rights(self) -> Iterator[Any]:
        if self.lacking:
            yield (
                "error",
                f"The account may not use {', '.join(self.lacking)}.",
                "Run the command that `manage.py realtime redis-acl` prints.",
            )
        if not self.config:
            yield (
                "note",
                "The account may not read the configuration (CONFIG GET), so the buffers and "
                "timeouts were not looked at.",
                "",
            )

    def _server(self) -> Iterator[Any]:
        version = tuple(map(int, str(self.info.get("redis_version", "7.0")).split(".")[:2]))
        if version < LOWEST_VERSION:
            yield "error", f"Redis {version[0]}.{version[1]} is too old.", "Use 7.0 or newer."
        if self.seconds > SLOW_SECONDS:
            yield (
                "warning",
                f"It answers in {self.seconds * 1000:.0f} ms. Each message takes as long.",
                "Bring it nearer, or give it more CPU time.",
            )

    def _memory(self) -> Iterator[Any]:
        policy = str(self.info.get("maxmemory_policy", "noeviction"))
        limit = int(self.info.get("maxmemory", 0))
        if policy != "noeviction":
            yield (
                "warning" if limit else "note",
                f"maxmemory-policy is {policy}: when memory is short, rooms lose their numbering, "
                "and clients are told that they could not recover; limits and lists lose entries.",
                "Give the rooms a Redis of their own with maxmemory-policy noeviction.",
            )
        used = int(self.info.get("used_memory", 0))
        if limit and used > 0.8 * limit:
            yield (
                "warning",
                f"{used * 100 // limit} % of maxmemory is used. When it is full, "
                + (
                    "publishing fails." if policy == "noeviction" else "rooms lose their numbering."
                ),
                "Raise maxmemory, or keep less history.",
            )

    def _persistence(self) -> Iterator[Any]:
        if self.info.get("loading"):
            yield "error", "It is reading its data from disk.", "Wait until it is ready."
        if "aof_enabled" not in self.info:
            return
        if not self.info["aof_enabled"]:
            yield (
                "note",
                "Without appendonly, a restart of Redis starts all rooms again: clients are told "
                "that they could not recover.",
                "Set appendonly to yes if rooms must outlive a restart.",
            )
        if "err" in (
            self.info.get("rdb_last_bgsave_status"),
            self.info.get("aof_last_write_status"),
        ):
            yield (
                "error",
                "It can't write its data to disk, and may refuse to publish.",
                "Free space, or correct the permissions, on its machine.",
            )

    def _replication(self) -> Iterator[Any]:
        if self.info.get("role") in ("slave", "replica"):
            yield (
                "error",
                "It is a replica, which takes no messages.",
                "Name the master in `hosts`, or its Sentinels.",
            )

    def _connections(self) -> Iterator[Any]:
        most = int(self.info.get("maxclients", 0))
        there = int(self.info.get("connected_clients", 0))
        if most and there > 0.8 * most:
            yield (
                "warning",
                f"{there} of {most} connections are in use (maxclients).",
                "Raise maxclients: a process that gets none hears nothing.",
            )
        if not self.config:
            return
        buffers = _pubsub_limit(self.config.get("client-output-buffer-limit", ""))
        if 0 < buffers < LEAST_PUBSUB_BYTES:
            yield (
                "warning",
                f"client-output-buffer-limit cuts a subscription that lags by {buffers} bytes: the "
                "process is without messages until it is back, and all its rooms recover.",
                "Set it to `pubsub 33554432 8388608 60`, the default of Redis, or more.",
            )
        idle = int(self.config.get("timeout", 0))
        if 0 < idle < 60:
            yield (
                "warning",
                f"timeout closes connections that are idle for {idle} s.",
                "Set it to 0, the default, or to more than 60.",
            )

    def _clock(self) -> Iterator[Any]:
        ahead = self.ahead_seconds
        if abs(ahead) > MOST_CLOCK_SECONDS + self.seconds:
            yield (
                "warning",
                f"The clock of this host is {abs(ahead):.1f} s "
                f"{'ahead of' if ahead > 0 else 'behind'} its own: tokens and memberships end "
                f"{'earlier' if ahead > 0 else 'later'} here than elsewhere.",
                "Synchronise the clocks of all hosts, with NTP for example.",
            )


def _or_nothing(ask: Any, *args: Any) -> Any:
    """What a command answers; nothing if this account may not use it."""
    try:
        return ask(*args)
    except ResponseError:
        return {}


def _pubsub_limit(text: str) -> int:
    """The hard limit, in bytes, of `normal 0 0 0 slave 268435456 67108864 60 pubsub ...`."""
    words = text.split()
    return int(words[words.index("pubsub") + 1]) if "pubsub" in words else 0

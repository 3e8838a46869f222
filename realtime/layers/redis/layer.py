"""The room layer on Redis: a Channels layer, and a part for each thing that rooms need."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from ...exceptions import LayerUnavailable
from ...rooms.publications import NOTHING_KEPT, Position, Retention
from ..base import Append, OnKept
from ..records import Attendance, Change, Page, PresenceChange, PresenceNews, StoredProcess
from .changes import Changes
from .channel_layer import RedisGroups
from .connections import Connections
from .orders import Orders
from .presence import Presence
from .streams import Streams
from .tickets import Tickets
from .usage import Usage

T = TypeVar("T")
Awaited = Coroutine[Any, Any, T]
"""The coroutine of a part. The layer returns it as it is: another would cost time."""


class RedisRoomLayer(RedisGroups):
    """A Channels layer for the whole site that also knows rooms.

    Options are those of `channels_redis.pubsub`: `hosts` (URLs or dicts; several are shards, over
    which rooms are spread), `prefix`, `symmetric_encryption_keys`. The methods are described in
    `realtime.layers.base`.
    """

    def __init__(self, hosts: Any = None, prefix: str = "asgi", **options: Any) -> None:
        super().__init__(hosts, prefix, **options)
        self._streams = Streams(self.topology, self.codec)
        self._presence = Presence(self.topology, self.codec)
        self._connections = Connections(self.topology, self.codec)
        self._tickets = Tickets(self.topology)
        self._changes = Changes(self.topology)
        self._orders = Orders(self.topology, self)
        self._usage = Usage(self.topology)

    # Streams

    def append(
        self, room: str, body: bytes, keep: Retention = NOTHING_KEPT, once: str = ""
    ) -> Awaited[Position]:
        return self._streams.append(room, body, keep, once)

    def append_soon(self, room: str, body: bytes, keep: Retention, on_kept: OnKept) -> None:
        self._streams.append_soon(room, body, keep, on_kept)

    def append_sync(
        self, room: str, body: bytes, keep: Retention = NOTHING_KEPT, once: str = ""
    ) -> Position:
        return self._streams.append_sync(room, body, keep, once)

    def append_all_sync(self, appends: Sequence[Append]) -> list[Position | LayerUnavailable]:
        return self._streams.append_all_sync(appends)

    def history(
        self, room: str, *, since: int | None = None, limit: int = 0, reverse: bool = False
    ) -> Awaited[Page]:
        return self._streams.history(room, since, limit, reverse)

    def history_sync(
        self, room: str, *, since: int | None = None, limit: int = 0, reverse: bool = False
    ) -> Page:
        return self._streams.history_sync(room, since, limit, reverse)

    def positions(self, rooms: Sequence[str]) -> Awaited[dict[str, Position]]:
        return self._streams.positions(rooms)

    def earlier_position_sync(self, room: str, ago_seconds: float) -> Position:
        return self._streams.earlier_position_sync(room, ago_seconds)

    def age(self, room: str, offset: int) -> Awaited[float | None]:
        return self._streams.age(room, offset)

    def heard_sync(self, rooms: Collection[str]) -> set[str]:
        return self._streams.heard_sync(rooms)

    def renew(self, room: str, epoch: str) -> Awaited[None]:
        return self._streams.renew(room, epoch)

    def renew_sync(self, room: str, epoch: str) -> None:
        self._streams.renew_sync(room, epoch)

    # Presence

    def update_presence(self, changes: Collection[PresenceChange]) -> Awaited[list[PresenceNews]]:
        return self._presence.update_presence(changes)

    def presence(self, room: str, *, infos: bool = True) -> Awaited[Attendance]:
        return self._presence.presence(room, infos)

    def presence_sync(self, room: str, *, infos: bool = True) -> Attendance:
        return self._presence.presence_sync(room, infos)

    # Connections

    def admit(
        self, process: str, connections: Sequence[tuple[str, str]], limit: int
    ) -> Awaited[list[bool | LayerUnavailable]]:
        return self._connections.admit(process, connections, limit)

    def beat(self, process: str, info: bytes, ttl_seconds: float) -> Awaited[bool]:
        return self._connections.beat(process, info, ttl_seconds)

    def write_connections(
        self,
        process: str,
        present: Mapping[str, bytes],
        ended: Mapping[str, str],
        ttl_seconds: float,
    ) -> Awaited[set[str]]:
        return self._connections.write_connections(process, present, ended, ttl_seconds)

    def live_processes_sync(self) -> list[StoredProcess]:
        return self._connections.live_processes_sync()

    def write_metrics(self, process: str, snapshot: bytes, ttl_seconds: float) -> Awaited[None]:
        return self._connections.write_metrics(process, snapshot, ttl_seconds)

    def metrics_sync(self) -> list[bytes]:
        return self._connections.metrics_sync()

    # Tickets

    def store_ticket(self, ticket: str, identity: bytes, ttl_seconds: int) -> None:
        self._tickets.store_ticket(ticket, identity, ttl_seconds)

    def astore_ticket(self, ticket: str, identity: bytes, ttl_seconds: int) -> Awaited[None]:
        return self._tickets.astore_ticket(ticket, identity, ttl_seconds)

    def redeem_ticket(self, ticket: str) -> Awaited[bytes | None]:
        return self._tickets.redeem_ticket(ticket)

    # Changes

    def mark_changes_sync(self, changes: Collection[Change]) -> None:
        self._changes.mark_changes_sync(changes)

    def mark_changes(self, changes: Collection[Change], *, gone: bool = False) -> Awaited[None]:
        return self._changes.mark_changes(changes, gone)

    def last_changes(
        self, asked: Sequence[tuple[str, str]]
    ) -> Awaited[list[float | LayerUnavailable]]:
        return self._changes.last_changes(asked)

    def end_sign_in_sync(self, sign_in: str, ttl_seconds: float) -> None:
        self._changes.end_sign_in_sync(sign_in, ttl_seconds)

    def ended_sign_ins(self) -> Awaited[dict[str, float]]:
        return self._changes.ended_sign_ins()

    # Orders

    def send_order_sync(self, message: dict[str, Any]) -> None:
        self._orders.send_order_sync(message)

    def last_order(self) -> Awaited[str]:
        return self._orders.last_order()

    def orders_since(self, position: str) -> Awaited[tuple[str, list[dict[str, Any]]]]:
        return self._orders.orders_since(position)

    # Usage

    def add_usage(self, used: Mapping[str, int]) -> Awaited[dict[str, int]]:
        return self._usage.add_usage(used)

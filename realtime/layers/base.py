"""The contract of a room layer, in eight parts, which both implementations keep."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ..exceptions import LayerUnavailable
from ..rooms.publications import NOTHING_KEPT, Position, Publication, Retention
from .records import Attendance, Change, Page, PresenceChange, PresenceNews, StoredProcess

PUBLICATION = "realtime.publication"
"""The `type` of a message that brings a publication: `{type, room, epoch, offset, body}`."""
PRESENCE = "realtime.presence"
"""The `type` of a message about users who have come or gone: `{type, room, joined, left}`, each a
list of `Member.info`."""

ORDERS_KEPT = 5_000
"""How many messages to the control group are kept at most."""
UNREADABLE = "realtime.unreadable"
"""The `type` of a message that stands for bytes of another program: `{type, group}`."""
PRESENCE_LOST = "realtime.presence_lost"
"""The `type` of a message that asks all processes to write the members of `room` again."""


class Append(NamedTuple):
    """What `Streams.append` takes, for several at once."""

    room: str
    body: bytes
    keep: Retention = NOTHING_KEPT
    once: str = ""


OnKept = Callable[[Any], None]
"""Called once an append has ended; with a `LayerUnavailable` if it may not have been kept."""


class Groups(Protocol):
    """A Channels layer with groups that can also pass messages to callbacks."""

    async def new_channel(self, prefix: str = ...) -> str: ...
    async def group_add(self, group: str, channel: str) -> None: ...
    async def group_discard(self, group: str, channel: str) -> None: ...
    async def group_send(self, group: str, message: dict[str, Any]) -> None: ...
    def group_send_sync(self, group: str, message: dict[str, Any]) -> None:
        """As `group_send`, from any thread."""
        ...

    async def receive(self, channel: str) -> dict[str, Any]: ...
    def on_message(
        self,
        channel: str,
        receive: Callable[[dict[str, Any]], None],
        receive_publication: Callable[[str, str, Publication], None],
    ) -> None:
        """Call `receive`, on the running event loop, with each message for `channel` instead of
        keeping it for `receive(channel)`; and `receive_publication` with each publication: room,
        epoch, publication."""
        ...

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Call `callback`, on the running event loop, when messages may have been missed."""
        ...


class Streams(Protocol):
    """The numbered publications of rooms."""

    async def append(
        self, room: str, body: bytes, keep: Retention = ..., once: str = ...
    ) -> Position:
        """Give `body` the room's next offset, keep it, and broadcast it to the room's group, in one
        step. All members see publications in the order of their offsets.

        With `once`, an idempotency key of the room, a second append within
        `IDEMPOTENCY_TTL_SECONDS` stores nothing and returns the position of the first.
        """
        ...

    def append_soon(self, room: str, body: bytes, keep: Retention, on_kept: OnKept) -> None:
        """As `append`, begun at once: of two that follow each other, the first gets the lower
        offset. `on_kept` is called once."""
        ...

    def append_sync(
        self, room: str, body: bytes, keep: Retention = ..., once: str = ...
    ) -> Position:
        """As `append`, from any thread."""
        ...

    def append_all_sync(self, appends: Sequence[Append]) -> list[Position | LayerUnavailable]:
        """Append several, in their order for each room, with one round trip. From any thread.
        Return the outcome of each."""
        ...

    async def history(
        self, room: str, *, since: int | None = ..., limit: int = ..., reverse: bool = ...
    ) -> Page:
        """Return the position of the room and at most `limit` of its kept publications: those after
        `since` (before it with `reverse`, newest first), or from the end of the stream without it.

        Fewer are returned if they are large, at least one: read the rest from the last one on.
        A room without publications is at offset 0, and gets an epoch.
        """
        ...

    def history_sync(
        self, room: str, *, since: int | None = ..., limit: int = ..., reverse: bool = ...
    ) -> Page:
        """As `history`, from any thread."""
        ...

    async def positions(self, rooms: Sequence[str]) -> dict[str, Position]:
        """Return the positions of many rooms, asked at once. Rooms that can't be read are left out:
        they hold up no other."""
        ...

    def earlier_position_sync(self, room: str, ago_seconds: float) -> Position:
        """Return the position that the room had `ago_seconds` ago, as far as its publications are
        kept, at most `RECOVERY_MAX_MESSAGES` back. From any thread."""
        ...

    async def age(self, room: str, offset: int) -> float | None:
        """Return how many seconds ago a kept publication was published, by the clock of the layer;
        None if it is not kept. Raises `LayerUnavailable`."""
        ...

    def heard_sync(self, rooms: Collection[str]) -> set[str]:
        """Return those of `rooms` that somebody is in, in any process, and those whose Redis can't
        say. From any thread."""
        ...

    async def renew(self, room: str, epoch: str) -> None:
        """Begin a new epoch without publications, unless `epoch` has ended already."""
        ...

    def renew_sync(self, room: str, epoch: str) -> None:
        """As `renew`, from any thread."""
        ...


class Presence(Protocol):
    """The members of rooms."""

    async def update_presence(self, changes: Collection[PresenceChange]) -> list[PresenceNews]:
        """Store for `PRESENCE_TTL_SECONDS` who is in rooms, and return who came or went.

        The connection of a user who has no other one in the room counts as present for
        `PRESENCE_LEAVE_SECONDS` after it ended, so that a reload is not reported as leaving and
        coming. Each change of a person is reported once, to one caller of all processes. A change
        that could not be stored has no news in the answer: it holds up no other.
        """
        ...

    async def presence(self, room: str, *, infos: bool = ...) -> Attendance:
        """Return who is in the room; without `infos` only the numbers."""
        ...

    def presence_sync(self, room: str, *, infos: bool = ...) -> Attendance:
        """As `presence`, from any thread."""
        ...


class Connections(Protocol):
    """The live connections of all processes."""

    async def admit(
        self, process: str, connections: Sequence[tuple[str, str]], limit: int
    ) -> Sequence[bool | LayerUnavailable]:
        """Count each connection, a client and its user, if the user has fewer than `limit` of them
        in all processes that are alive; 0 allows any number. Return which ones are counted, with an
        error for those whose Redis does not answer. Counting one twice is harmless.
        """
        ...

    async def beat(self, process: str, info: bytes, ttl_seconds: float) -> bool:
        """Keep the process alive for `ttl_seconds`; 0 ends it. Return whether every Redis that
        answers knew it. If not, what it stored there is lost."""
        ...

    async def write_connections(
        self,
        process: str,
        present: Mapping[str, bytes],
        ended: Mapping[str, str],
        ttl_seconds: float,
    ) -> set[str]:
        """Store connections of the process by their client, and forget those that ended, each with
        its user, who then has one less. Return the clients of which that failed."""
        ...

    def live_processes_sync(self) -> list[StoredProcess]:
        """Return the processes that are alive, with their connections. From any thread."""
        ...

    async def write_metrics(self, process: str, snapshot: bytes, ttl_seconds: float) -> None:
        """Store the metrics of the process, until it ends or `ttl_seconds` later."""
        ...

    def metrics_sync(self) -> list[bytes]:
        """Return the metrics of the processes that are alive. From any thread."""
        ...


class Tickets(Protocol):
    """The identities behind single-use tickets."""

    def store_ticket(self, ticket: str, identity: bytes, ttl_seconds: int) -> None:
        """Store `identity` until `ticket` is redeemed. Blocks, for views and threads."""
        ...

    async def astore_ticket(self, ticket: str, identity: bytes, ttl_seconds: int) -> None:
        """The same, for the event loop."""
        ...

    async def redeem_ticket(self, ticket: str) -> bytes | None:
        """Return the identity of `ticket` once: the second caller gets None."""
        ...


class Changes(Protocol):
    """The times of changes of rights, and the sign-ins that have ended."""

    def mark_changes_sync(self, changes: Collection[Change]) -> None:
        """Record that rights have changed just now. From any thread. Raises `PartlyUnavailable` if
        only some Redis did so."""
        ...

    async def mark_changes(self, changes: Collection[Change], *, gone: bool = ...) -> None:
        """As `mark_changes_sync`, for coroutines. With `gone`, rights count as changing until the
        next mark, because nothing reports when they are given back."""
        ...

    async def last_changes(
        self, asked: Sequence[tuple[str, str]]
    ) -> Sequence[float | LayerUnavailable]:
        """Return for each user in a room the last change of rights that concern both: Unix time in
        ms, on the clock of `Publication.at_ms`; -1 for never, infinite while rights are `gone`, an
        error if the Redis of the room does not answer."""
        ...

    def end_sign_in_sync(self, sign_in: str, ttl_seconds: float) -> None:
        """Remember for `ttl_seconds` that a sign-in has ended. From any thread."""
        ...

    async def ended_sign_ins(self) -> dict[str, float]:
        """Return the sign-ins that have ended, with the seconds until each is forgotten."""
        ...


class Orders(Protocol):
    """The messages to the control group, which no process may miss."""

    def send_order_sync(self, message: dict[str, Any]) -> None:
        """Send `message` to the control group, and keep it for some minutes for processes that
        lost their connection. From any thread."""
        ...

    async def last_order(self) -> str:
        """Return the position of the last message; "" if none is kept."""
        ...

    async def orders_since(self, position: str) -> tuple[str, list[dict[str, Any]]]:
        """Return the position of the last message, and the kept messages after `position`."""
        ...


class Usage(Protocol):
    """The usage of rate limits by users."""

    async def add_usage(self, used: Mapping[str, int]) -> dict[str, int]:
        """Add to the usage of users, and return their totals over all processes; users whose Redis
        does not answer are left out. A total is forgotten some seconds after the last addition."""
        ...


@runtime_checkable
class RoomLayer(Groups, Streams, Presence, Connections, Tickets, Changes, Orders, Usage, Protocol):
    """A Channels layer that also stores publications, presence and connections.

    Methods raise `LayerUnavailable` if Redis does not answer within 2 s; those that block, within
    1 s, and at once while Redis goes on to hang.
    """

"""The regimes: who is connected, what is sent, and which figure is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    FLIGHT = "flight"
    """A fixed number of messages in flight, as fast as they arrive."""
    PACE = "pace"
    """Messages at half of the peak rate, whether earlier ones have arrived or not."""
    ECHO = "echo"
    """One client, and the answers of the server."""
    STORM = "storm"
    """All clients connect at once."""
    IDLE = "idle"
    """All clients are connected and send nothing."""
    JOINS = "joins"
    """One client enters and leaves one room after the other."""
    ENTRIES = "entries"
    """Newcomers enter a room that has members."""


class Figure(StrEnum):
    CPU = "cpu_us"
    """CPU time of the server in µs per unit: a delivery, an echo, a handshake."""
    RATE = "rate"
    """Units per second."""
    P99 = "p99_ms"
    MEMORY = "kib"
    """Memory of the server per connection, in KiB."""

    @property
    def more_is_better(self) -> bool:
        return self is Figure.RATE


@dataclass(frozen=True)
class Regime:
    name: str
    title: str
    kind: Kind
    figure: Figure
    unit: str = "delivery"
    prefix: str = "hall"
    """The prefix of room names. Regimes with the same rooms share their connections."""
    rooms: int = 1
    members: int = 500
    """In each room."""
    window: int = 1
    size: int = 64
    """Bytes of a message."""
    seconds: float = 1.0
    rate: float = 0
    """Pace only: messages a second; 0 for half of what the server can do."""
    servers: int = 1
    compared_with: str = ""
    """The name of the same regime on one server."""
    rounds: int = 99
    """The maximum of rounds, for figures that hardly vary."""
    dialect: str = ""
    """The dialect of the clients; "" for the default of the peer."""
    room_fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Fields of its rooms in the database, if they differ from the defaults."""
    is_warm: bool = True
    """Joins only: whether the rights of the user were looked up before."""
    settle_seconds: float = 0
    """Storms only: a pause in which the server forgets the connections of the warm-up."""
    series: str = ""
    """Regimes of one series share one server process."""
    newcomers: int = 0
    """Entries only: how many of the members enter while it is measured."""

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Regime:
        """Make a regime from its fields in JSON."""
        return cls(**fields | {"kind": Kind(fields["kind"]), "figure": Figure(fields["figure"])})

    @property
    def connections(self) -> int:
        return self.rooms * self.members

    @property
    def layout(self) -> tuple[str, int, int, int, str]:
        return self.prefix, self.rooms, self.members, self.servers, self.dialect

    def room_names(self) -> list[str]:
        return [f"{self.prefix}{number}" for number in range(self.rooms)]


WARM_SECONDS = 0.3
WINDOW_BYTES = 64 * 1024 * 1024
"""The maximum of bytes in flight, over all members."""

SHORT = (
    Regime(
        "one",
        "one room of 500 members, one message in flight",
        Kind.FLIGHT,
        Figure.CPU,
    ),
    Regime(
        "sixteen",
        "one room of 500 members, 16 messages in flight",
        Kind.FLIGHT,
        Figure.RATE,
        window=16,
    ),
    Regime(
        "pairs",
        "250 rooms of two, 32 messages in flight in all",
        Kind.FLIGHT,
        Figure.CPU,
        prefix="pair",
        rooms=250,
        members=2,
        window=32,
    ),
    Regime(
        "echo",
        "echo of one client's message, one after the other",
        Kind.ECHO,
        Figure.CPU,
        unit="echo",
        prefix="booth",
        members=1,
        seconds=1.0,
    ),
    Regime(
        "handshakes",
        "500 connections at once, each joins a room (ours: JWT checked, distinct users)",
        Kind.STORM,
        Figure.RATE,
        unit="handshake",
        prefix="gate",
    ),
    Regime(
        "idle",
        "2,000 idle connections",
        Kind.IDLE,
        Figure.MEMORY,
        unit="connection",
        prefix="bench",
        members=2_000,
        seconds=1.0,
        rounds=1,
    ),
)


def _of_size(members: int, size: int) -> Regime:
    name = f"{size} B" if size < 1024 else f"{size // 1024} KiB"
    window = max(1, min(16, WINDOW_BYTES // (members * size)))
    return Regime(
        f"m{members}-{size}",
        f"one room of {members:,}, messages of {name}, {window} in flight",
        Kind.FLIGHT,
        Figure.RATE,
        prefix=f"hall{members}m",
        series=f"rooms of {members}",
        members=members,
        window=window,
        size=size,
        seconds=2.0,
    )


def _long() -> tuple[Regime, ...]:
    one, sixteen, pairs, echo, handshakes, idle = SHORT
    return (
        replace(one, seconds=4.0),
        replace(sixteen, seconds=4.0),
        Regime(
            "latency",
            "one room of 500 members, at half of the rate of 16 in flight",
            Kind.PACE,
            Figure.P99,
            seconds=8.0,
        ),
        Regime(
            "load",
            "one room of 500 members, 100 messages a second: half of Socket.IO's peak",
            Kind.PACE,
            Figure.P99,
            seconds=8.0,
            rate=100,
        ),
        replace(pairs, seconds=4.0),
        Regime(
            "singles",
            "1,000 rooms with one socket each, 32 messages in flight in all",
            Kind.FLIGHT,
            Figure.CPU,
            prefix="single",
            rooms=1_000,
            members=1,
            window=32,
            seconds=4.0,
        ),
        replace(echo, seconds=3.0),
        *(_of_size(members, size) for members in (1, 10, 100, 1_000, 5_000) for size in SIZES),
        replace(
            handshakes,
            title=handshakes.title.replace("500", "2,000"),
            members=2_000,
        ),
        replace(idle, title="10,000 idle connections for a minute", members=10_000, seconds=60.0),
        Regime(
            "two",
            "as sixteen, with two server processes on two cores (the generator on both)",
            Kind.FLIGHT,
            Figure.RATE,
            prefix="twin",
            window=16,
            seconds=4.0,
            servers=2,
            compared_with="sixteen",
        ),
    )


SIZES = (64, 1_024, 16_384)
LONG = _long()

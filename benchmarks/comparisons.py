"""The comparisons: each measures a regime with a feature and without it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from .peers import PEERS, Peer
from .regimes import Figure, Kind, Regime


@dataclass(frozen=True)
class Scale:
    """Sizes and durations of the measurements."""

    members: int = 200
    rooms: int = 100
    """Each has one member."""
    joins: int = 80
    newcomers: int = 50
    handshakes: int = 400
    seconds: float = 0.5
    messages: int = 0
    """If it is not 0, a flight ends after this many messages instead of `seconds`."""


def _server(name: str, layer: str = "redis", **settings: object) -> Peer:
    env = {
        "DJANGO_SETTINGS_MODULE": "benchmarks.feature_settings",
        "BENCHMARKS_REALTIME": json.dumps(settings),
        "BENCHMARKS_LAYER": layer,
    }
    ours = PEERS["ours-uvicorn"]
    return replace(ours, name=name, env={**ours.env, **env})


FULL = _server("full")
UNLIMITED = _server(
    "unlimited",
    COMMANDS_PER_SECOND=0,
    BYTES_PER_SECOND=0,
    CONNECTIONS_PER_USER=0,
    ALLOW_ANONYMOUS=True,
)
AT_ONCE = _server("at-once", COALESCE_SECONDS=0)
IN_PROCESS = _server("in-process", layer="memory")

Place = tuple[Peer, str]
"""A server, and the name of a regime."""


@dataclass(frozen=True)
class Comparison:
    """A figure with a feature, and the same without it."""

    feature: str
    unit: str
    on: Place
    off: Place


def _flights(feature: str, kind: str, server: Peer = FULL) -> list[Comparison]:
    """Compare the cost of a message and of a delivery with the regimes of this `kind`."""
    return [
        Comparison(feature, unit, (FULL, unit), (server, f"{unit} {kind}".strip()))
        for unit in ("message", "delivery")
    ]


COMPARISONS = (
    *_flights("history (100 messages, 300 s)", "unkept"),
    *_flights("presence, nobody watches", "unlisted"),
    Comparison("presence, nobody watches", "join, leave", (FULL, "join"), (FULL, "join unlisted")),
    Comparison("presence, all members watch", "entry", (FULL, "entry watched"), (FULL, "entry")),
    Comparison("rights asked of the database", "join, leave", (FULL, "join cold"), (FULL, "join")),
    Comparison(
        "JWT (HS256) and its user, not anonymous",
        "connect",
        (UNLIMITED, "connect"),
        (UNLIMITED, "connect anonymous"),
    ),
    Comparison(
        "JWT (HS256) and its user, not anonymous",
        "connect, join",
        (UNLIMITED, "arrive"),
        (UNLIMITED, "arrive anonymous"),
    ),
    *_flights("native protocol, not the plain one", "plain"),
    *[
        Comparison("Protobuf, not JSON", unit, (FULL, f"{unit} protobuf"), (FULL, unit))
        for unit in ("message", "delivery")
    ],
    *_flights("coalescing (5 ms)", "", AT_ONCE),
    *_flights("Redis, not in process", "", IN_PROCESS),
    Comparison("Redis, not in process", "join, leave", (FULL, "join"), (IN_PROCESS, "join")),
    *_flights("limits of commands, of connections", "", UNLIMITED),
    Comparison(
        "limits of commands, of connections", "connect", (FULL, "connect"), (UNLIMITED, "connect")
    ),
)


def regimes(scale: Scale) -> dict[str, Regime]:
    """All compared regimes, by name."""
    message = Regime(
        "message",
        f"{scale.rooms} rooms of one, 32 messages in flight in all",
        Kind.FLIGHT,
        Figure.CPU,
        prefix="booth",
        rooms=scale.rooms,
        members=1,
        window=32,
        seconds=scale.seconds,
    )
    delivery = replace(
        message,
        name="delivery",
        title=f"one room of {scale.members}, 16 messages in flight",
        prefix="hall",
        rooms=1,
        members=scale.members,
        window=16,
    )
    join = Regime(
        "join",
        f"one user into one of {scale.joins} rooms after the other, and out again",
        Kind.JOINS,
        Figure.CPU,
        unit="join",
        prefix="door",
        rooms=scale.joins,
        members=1,
    )
    entry = Regime(
        "entry",
        f"{scale.newcomers} users into a room of {scale.members}",
        Kind.ENTRIES,
        Figure.CPU,
        unit="entry",
        prefix="stage",
        members=scale.members + scale.newcomers,
        newcomers=scale.newcomers,
    )
    arrive = Regime(
        "arrive",
        f"{scale.handshakes} users connect at once, and join a room that is open to anyone",
        Kind.STORM,
        Figure.CPU,
        unit="handshake",
        prefix="square",
        members=scale.handshakes,
        settle_seconds=0.3,
        room_fields={"access": "anyone"},
    )
    connect = replace(
        arrive,
        name="connect",
        title=f"{scale.handshakes} users connect at once",
        dialect="lobby",
    )
    found = []
    for flight in (message, delivery):
        found += [
            flight,
            _variant(flight, "unkept", room_fields={"history_size": 0}),
            _variant(flight, "unlisted", room_fields={"presence": False}),
            _variant(flight, "plain", dialect="plain"),
            _variant(flight, "protobuf", dialect="protobuf"),
        ]
    found += [
        join,
        _variant(join, "unlisted", room_fields={"presence": False}),
        _variant(join, "cold", is_warm=False),
        entry,
        _variant(entry, "watched", dialect="watching"),
        arrive,
        _variant(arrive, "anonymous", dialect="anonymous"),
        connect,
        _variant(connect, "anonymous", dialect="anonymous lobby"),
    ]
    return {regime.name: regime for regime in found}


def _variant(regime: Regime, kind: str, **changes: Any) -> Regime:
    if "room_fields" in changes:
        changes["prefix"] = f"{kind}-{regime.prefix}"
    return replace(regime, name=f"{regime.name} {kind}", **changes)

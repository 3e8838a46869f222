"""`python -m benchmarks.features`: what each feature costs, in CPU of the server.

Each is measured beside the same without it, in the same rounds, on uvicorn with the protocol class
of this project. A message goes to a room of one and comes back to its publisher; a delivery is the
share of one member in a room of many. What did not arrive exactly once makes a row invalid.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import machine
from .machine import Cores
from .outcomes import Outcome
from .peers import PEERS, Peer
from .regimes import Figure, Kind, Regime
from .rig import Rig, end_children

NOTES = (
    "Offsets can't be switched off: every message has one, with or without a history.",
    "Medians in µs. `unclear`: under 1 %, or fewer than four of five rounds agree.",
    "SQL: queries for one join, with and without. Redis: its own CPU for one message, so too.",
    "Who is not signed in shares one look-up of rights with all others like that, is in no list",
    "of presence, and counts for no limit: this is part of the JWT's rows.",
)
NOTEWORTHY = 0.01
"""The share of the whole below which nobody can tell a cost from chance."""
CERTAIN = 0.8
"""The share of rounds that must agree on whether a feature costs or saves."""


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    members: int = 200
    rooms: int = 100
    """With one member each."""
    joins: int = 80
    newcomers: int = 50
    handshakes: int = 400
    seconds: float = 0.5
    messages: int = 0
    """Where it isn't 0, so many end a flight, and not the seconds."""


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
    "unlimited", COMMANDS_PER_SECOND=0, CONNECTIONS_PER_USER=0, ALLOW_ANONYMOUS=True
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
    """For a message and for a delivery, against regimes that are called `kind`."""
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
    *_flights("coalescing (5 ms)", "", AT_ONCE),
    *_flights("Redis, not in process", "", IN_PROCESS),
    Comparison("Redis, not in process", "join, leave", (FULL, "join"), (IN_PROCESS, "join")),
    *_flights("limits of commands, of connections", "", UNLIMITED),
    Comparison(
        "limits of commands, of connections", "connect", (FULL, "connect"), (UNLIMITED, "connect")
    ),
)


def regimes(scale: Scale) -> dict[str, Regime]:
    """All that are compared, by name."""
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


# Measuring

Outcomes = dict[tuple[str, str], list[Outcome]]
"""Of each round, by the names of the server and the regime."""


def measure(
    folder: Path, cores: Cores, comparisons: Sequence[Comparison], scale: Scale, rounds: int
) -> Outcomes:
    known = regimes(scale)
    places = dict.fromkeys(place for it in comparisons for place in (it.on, it.off))
    batches: dict[str, tuple[Peer, list[Regime]]] = {}
    # What is compared on one server is measured one after the other.
    order = list(known)
    for server, name in sorted(places, key=lambda place: order.index(place[1])):
        batches.setdefault(server.name, (server, []))[1].append(known[name])
    rig = Rig(folder, cores)
    rig.populate([known[name] for name in dict.fromkeys(name for _, name in places)])
    outcomes: Outcomes = {(server.name, name): [] for server, name in places}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for server, batch in _turned(batches.values(), number):
            for name, outcome in rig.measure(server, batch, scale.messages).items():
                outcomes[server.name, name].append(outcome)
    return outcomes


def _turned(
    batches: Iterable[tuple[Peer, list[Regime]]], number: int
) -> list[tuple[Peer, list[Regime]]]:
    """Every other round the other way around: who comes first has no advantage in the median."""
    step = -1 if number % 2 else 1
    return [(server, batch[::step]) for server, batch in [*batches][::step]]


# The table


@dataclass(frozen=True)
class Cost:
    """What a feature costs: medians in µs, and how far the rounds were apart."""

    feature: str
    unit: str
    on: float = 0.0
    off: float = 0.0
    cost: float = 0.0
    rounds: list[float] = field(default_factory=list)
    queries: tuple[float, float] | None = None
    redis: tuple[float, float] | None = None
    problems: list[str] = field(default_factory=list)
    """Where there are some, the figures are not to be trusted and not given."""

    @property
    def is_certain(self) -> bool:
        """Whether the rounds agree that it costs, or saves, something that is worth a word."""
        if abs(self.cost) < NOTEWORTHY * self.on:
            return False
        agreeing = sum(it * self.cost > 0 for it in self.rounds)
        return agreeing >= CERTAIN * len(self.rounds)


def cost(comparison: Comparison, outcomes: Outcomes) -> Cost:
    on = outcomes[comparison.on[0].name, comparison.on[1]]
    off = outcomes[comparison.off[0].name, comparison.off[1]]
    problems = list(dict.fromkeys(it for outcome in (*on, *off) for it in outcome.problems))
    if problems:
        return Cost(comparison.feature, comparison.unit, problems=problems)
    pairs = [(a.figures["cpu_us"], b.figures["cpu_us"]) for a, b in zip(on, off, strict=True)]
    differences = [a - b for a, b in pairs]
    return Cost(
        comparison.feature,
        comparison.unit,
        on=statistics.median(a for a, _ in pairs),
        off=statistics.median(b for _, b in pairs),
        cost=statistics.median(differences),
        rounds=differences,
        queries=_medians("queries", on, off),
        redis=_medians("redis_us", on, off),
    )


def _medians(
    figure: str, on: Sequence[Outcome], off: Sequence[Outcome]
) -> tuple[float, float] | None:
    """With and without, None where it is not measured or says nothing."""
    if not any(it.figures.get(figure) for it in (*on, *off)):
        return None
    with_it, without = (
        statistics.median(it.figures[figure] for it in outcomes) for outcomes in (on, off)
    )
    return with_it, without


HEADS = (
    "feature",
    "CPU µs for one",
    "with",
    "without",
    "ratio",
    "costs",
    "in the rounds",
    "SQL",
    "Redis",
)


def table(costs: Sequence[Cost]) -> list[str]:
    cells = [HEADS, *map(_cells, costs)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for line in cells:
        words = [
            it.ljust(width) if number < 2 else it.rjust(width)
            for number, (it, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(words).rstrip())
    lines += [
        f"INVALID: {it.feature}, {it.unit}: {problem}" for it in costs for problem in it.problems
    ]
    return lines


def _cells(it: Cost) -> tuple[str, ...]:
    if it.problems:
        return it.feature, it.unit, *["INVALID"] * 3, "", "", "", ""
    digits = 2 if it.on < 100 else 0
    return (
        it.feature,
        it.unit,
        f"{it.on:,.{digits}f}",
        f"{it.off:,.{digits}f}",
        f"{it.off / it.on:.2f}",
        f"{it.cost:+,.{digits}f}" if it.is_certain else "unclear",
        f"{min(it.rounds):+,.{digits}f} to {max(it.rounds):+,.{digits}f}",
        "{:.1f}, {:.1f}".format(*it.queries) if it.queries else "",
        "{:.1f}, {:.1f}".format(*it.redis) if it.redis else "",
    )


def as_json(costs: Sequence[Cost], conditions: dict[str, Any]) -> str:
    rows = [
        {
            "feature": it.feature,
            "unit": it.unit,
            "valid": not it.problems,
            "problems": it.problems,
            **(
                {}
                if it.problems
                else {
                    "with_us": it.on,
                    "without_us": it.off,
                    "costs_us": it.cost,
                    "rounds_us": it.rounds,
                    "certain": it.is_certain,
                    "queries": it.queries,
                    "redis_us": it.redis,
                }
            ),
        }
        for it in costs
    ]
    return json.dumps({**conditions, "notes": NOTES, "rows": rows}, indent=1)


def _others(outcomes: Outcomes) -> float:
    """What processes that are none of ours took of the server's core."""
    found = [it.figures for rounds in outcomes.values() for it in rounds if it.figures]
    seconds = sum(it["seconds"] for it in found)
    return sum(it["others_core"] * it["seconds"] for it in found) / seconds if seconds else 0.0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.features",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5, help="the table has their medians")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    return options


def main() -> int:
    options, scale, begun, cores = parse(), Scale(), datetime.now(UTC), Cores.choose()
    conditions: dict[str, Any] = {
        "date": begun.isoformat(timespec="seconds"),
        **machine.describe(cores),
    }
    machine.raise_file_limit()
    # What is started begins on the generator's core, and only servers leave it.
    os.sched_setaffinity(0, [cores.generator])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="features-") as folder:
            outcomes = measure(Path(folder), cores, COMPARISONS, scale, options.rounds)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        end_children()
    conditions["others"] = f"used {_others(outcomes):.1%} of the server's core"
    costs = [cost(comparison, outcomes) for comparison in COMPARISONS]
    if options.json:
        print(as_json(costs, conditions))
    else:
        for name, value in conditions.items():
            shown = value if isinstance(value, str) else ", ".join(map(" ".join, value.items()))
            print(f"{name}: {shown}")
        print("", *table(costs), *NOTES, sep="\n")
        for regime in regimes(scale).values():
            if " " not in regime.name:
                print(f"{regime.name}: {regime.title}")
    say(f"took {(datetime.now(UTC) - begun).total_seconds():.0f} s")
    return 1 if any(it.problems for it in costs) else 0


if __name__ == "__main__":
    sys.exit(main())

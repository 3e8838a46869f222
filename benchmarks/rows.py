"""The rows of the table: medians of the rounds, gains over peers, and targets."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from .outcomes import Outcome
from .peers import Peer
from .regimes import Regime

OURS = "ours-uvicorn"
DISTURBED = 0.1
"""A row is marked if unrelated processes used more than this share of the server's core."""
BOUND = 0.95
"""A row is marked if more than this share of the generator's core was used."""


@dataclass
class Row:
    """One peer in one regime."""

    regime: Regime
    peer: Peer
    outcomes: list[Outcome] = field(default_factory=list)
    gain: float | None = None
    """How many times better our server is, by the figure of the regime."""
    scaling: float | None = None
    """With two servers: their figure divided by the figure of one server."""

    @property
    def problems(self) -> list[str]:
        return list(dict.fromkeys(problem for each in self.outcomes for problem in each.problems))

    @property
    def figures(self) -> dict[str, float]:
        """The medians of the rounds, by figure."""
        names = dict.fromkeys(name for outcome in self.outcomes for name in outcome.figures)
        return {
            name: statistics.median(
                outcome.figures[name] for outcome in self.outcomes if name in outcome.figures
            )
            for name in names
        }

    @property
    def value(self) -> float | None:
        """The median of the regime's figure; None if there are problems."""
        return None if self.problems else self.figures.get(self.regime.figure)

    @property
    def notes(self) -> list[str]:
        figures = self.figures
        notes = [f"INVALID: {problem}" for problem in self.problems]
        if figures.get("others_core", 0) > DISTURBED:
            notes.append(f"disturbed: others used {figures['others_core']:.0%} of its core")
        if figures.get("generator_core", 0) + figures.get("redis_core", 0) > BOUND:
            notes.append("the generator's core was full: the server can do more")
        if self.scaling:
            notes.append(f"{self.scaling:.2f} times one process; the clients take from both cores")
        return notes


def compare(rows: Sequence[Row]) -> None:
    """Set the gain of our server over every peer, and the scaling of two servers over one."""
    values = {(row.regime.name, row.peer.name): row.value for row in rows}
    for row in rows:
        alone = values.get((row.regime.compared_with, row.peer.name))
        if alone and row.value:
            row.scaling = row.value / alone
    by_regime: dict[str, list[Row]] = {}
    for row in rows:
        by_regime.setdefault(row.regime.name, []).append(row)
    for of_regime in by_regime.values():
        ours = next((row.value for row in of_regime if row.peer.name == OURS), None)
        for row in of_regime:
            row.gain = None
            if ours and row.value:
                more = row.regime.figure.more_is_better
                row.gain = ours / row.value if more else row.value / ours


@dataclass(frozen=True)
class Target:
    """A target of the design for our server on uvicorn, in one regime."""

    regime: str
    text: str
    limit: float
    against: str = ""
    """The peer whose figure the limit is a multiple of; "" if the limit is absolute."""
    ours: str = OURS
    """Which of ours it is for."""

    def judge(self, rows: Sequence[Row]) -> Verdict:
        values = {row.peer.name: row.value for row in rows if row.regime.name == self.regime}
        figure = next(row.regime.figure for row in rows if row.regime.name == self.regime)
        ours, against = values.get(self.ours), values.get(self.against) if self.against else 1.0
        if ours is None or not against:
            return Verdict(self, None, None)
        ratio = ours / against
        is_met = ratio >= self.limit if figure.more_is_better else ratio <= self.limit
        return Verdict(self, ratio, is_met)


@dataclass(frozen=True)
class Verdict:
    target: Target
    ratio: float | None
    is_met: bool | None
    """None if a needed measurement is missing."""


TARGETS = (
    Target("one", "at most the CPU of Socket.IO a delivery", 1.0, "socketio"),
    Target("one", "at most twice the CPU of uWebSockets a delivery", 2.0, "uwebsockets"),
    Target("sixteen", "at least 5 times the deliveries of Socket.IO", 5.0, "socketio"),
    Target("pairs", "at most the CPU of Socket.IO a delivery", 1.0, "socketio"),
    Target("echo", "at most 1.5 times the CPU of Socket.IO an echo", 1.5, "socketio"),
    Target("handshakes", "at least 1,000 a second", 1_000.0),
    Target("idle", "at most the memory of Socket.IO a connection", 1.0, "socketio"),
    *(
        Target(regime, f"stock clients of Socket.IO: {text}", limit, "socketio", "ours-socketio")
        for regime, text, limit in (
            ("one", "at most 0.8 times its CPU a delivery", 0.8),
            ("sixteen", "at least 4 times its deliveries", 4.0),
            ("pairs", "at most 0.8 times its CPU a delivery", 0.8),
            ("idle", "at most 0.6 times its memory a connection", 0.6),
        )
    ),
)


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """A target for another of ours than the usual one counts if it was measured."""
    measured = {(row.regime.name, row.peer.name) for row in rows}
    regimes = {regime for regime, _ in measured}
    return [
        target.judge(rows)
        for target in TARGETS
        if target.regime in regimes
        and (target.ours == OURS or (target.regime, target.ours) in measured)
    ]

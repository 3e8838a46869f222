"""The cost of features: measured with minus measured without, as a table and as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .comparisons import Comparison
from .outcomes import Outcome

NOTES = (
    "Offsets can't be switched off: every message has one, with or without a history.",
    "Medians in µs. `unclear`: under 1 %, or fewer than four of five rounds agree.",
    "SQL: queries per join, with and without. Redis: its CPU per message, with and without.",
    "Anonymous users share one look-up of rights, are not in presence, and count for no limit.",
    "The rows of JWT include these savings.",
)
NOTEWORTHY = 0.01
"""A cost below this share of the whole can't be told from chance."""
CERTAIN = 0.8
"""The share of rounds that must agree whether a feature costs or saves."""


Outcomes = dict[tuple[str, str], list[Outcome]]
"""The outcomes of all rounds, by server name and regime name."""


@dataclass(frozen=True)
class Cost:
    """The cost of a feature: medians in µs, and the difference in each round."""

    feature: str
    unit: str
    on: float = 0.0
    off: float = 0.0
    cost: float = 0.0
    rounds: list[float] = field(default_factory=list)
    queries: tuple[float, float] | None = None
    redis: tuple[float, float] | None = None
    problems: list[str] = field(default_factory=list)
    """If there are any, the figures can't be trusted and are left out."""

    @property
    def is_certain(self) -> bool:
        """Return whether the rounds agree on a cost or a saving that is worth reporting."""
        if abs(self.cost) < NOTEWORTHY * self.on:
            return False
        agreeing = sum(difference * self.cost > 0 for difference in self.rounds)
        return agreeing >= CERTAIN * len(self.rounds)


def cost(comparison: Comparison, outcomes: Outcomes) -> Cost:
    on = outcomes[comparison.on[0].name, comparison.on[1]]
    off = outcomes[comparison.off[0].name, comparison.off[1]]
    problems = list(dict.fromkeys(problem for each in (*on, *off) for problem in each.problems))
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
    """The medians with and without the feature; None if not measured or always 0."""
    if not any(outcome.figures.get(figure) for outcome in (*on, *off)):
        return None
    with_it, without = (
        statistics.median(outcome.figures[figure] for outcome in outcomes) for outcomes in (on, off)
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
            cell.ljust(width) if number < 2 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(words).rstrip())
    lines += [
        f"INVALID: {each.feature}, {each.unit}: {problem}"
        for each in costs
        for problem in each.problems
    ]
    return lines


def _cells(row: Cost) -> tuple[str, ...]:
    if row.problems:
        return row.feature, row.unit, *["INVALID"] * 3, "", "", "", ""
    digits = 2 if row.on < 100 else 0
    return (
        row.feature,
        row.unit,
        f"{row.on:,.{digits}f}",
        f"{row.off:,.{digits}f}",
        f"{row.off / row.on:.2f}",
        f"{row.cost:+,.{digits}f}" if row.is_certain else "unclear",
        f"{min(row.rounds):+,.{digits}f} to {max(row.rounds):+,.{digits}f}",
        "{:.1f}, {:.1f}".format(*row.queries) if row.queries else "",
        "{:.1f}, {:.1f}".format(*row.redis) if row.redis else "",
    )


def as_json(costs: Sequence[Cost], conditions: dict[str, Any]) -> str:
    rows = [
        {
            "feature": each.feature,
            "unit": each.unit,
            "valid": not each.problems,
            "problems": each.problems,
            **(
                {}
                if each.problems
                else {
                    "with_us": each.on,
                    "without_us": each.off,
                    "costs_us": each.cost,
                    "rounds_us": each.rounds,
                    "certain": each.is_certain,
                    "queries": each.queries,
                    "redis_us": each.redis,
                }
            ),
        }
        for each in costs
    ]
    return json.dumps({**conditions, "notes": NOTES, "rows": rows}, indent=1)

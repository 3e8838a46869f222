"""The report of all rows: a table as text, and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from .regimes import Figure, Kind, Regime
from .rows import OURS, Row, Verdict, verdicts

Column = tuple[str, str, str]
"""Heading, figure, and format of the figure."""
_SHARES: tuple[Column, ...] = (
    ("server", "server_core", ".0%"),
    ("Redis", "redis_core", ".0%"),
    ("generator", "generator_core", ".0%"),
    ("others", "others_core", ".0%"),
)
_RATE: Column = ("a second", "rate", ",.0f")
_CPU: Column = ("CPU µs", "cpu_us", ",.1f")
_REDIS: Column = ("Redis µs/msg", "redis_us", ",.1f")
_LATENCIES: tuple[Column, ...] = (("p50 ms", "p50_ms", ",.2f"), ("p99 ms", "p99_ms", ",.2f"))
COLUMNS: dict[Kind, tuple[Column, ...]] = {
    Kind.FLIGHT: (_CPU, _RATE, _REDIS, *_LATENCIES, *_SHARES),
    Kind.PACE: (*_LATENCIES, ("p99.9 ms", "p999_ms", ",.2f"), _RATE, _CPU, *_SHARES),
    Kind.ECHO: (_CPU, _RATE, *_LATENCIES, *_SHARES),
    Kind.STORM: (_RATE, _CPU, *_SHARES),
    Kind.IDLE: (
        ("KiB each", "kib", ",.1f"),
        ("MiB in all", "mib", ",.0f"),
        ("pings", "pings", ",.0f"),
        *_SHARES,
    ),
}
_WHAT = {
    Figure.CPU: "CPU of the server for one {unit}",
    Figure.RATE: "{unit}s a second",
    Figure.P99: "latency of a {unit}",
    Figure.MEMORY: "memory of the server for one {unit}",
}


@dataclass(frozen=True)
class Report:
    begun: datetime
    conditions: dict[str, Any]
    rows: list[Row]

    @property
    def caption(self) -> str:
        machine = self.conditions["machine"]
        return f"{self.begun:%Y-%m-%d}, {machine['cpu']}, one core for the server"

    def as_json(self) -> str:
        return json.dumps(
            {
                "date": self.begun.isoformat(timespec="seconds"),
                **self.conditions,
                "rows": [_row(row) for row in self.rows],
                "targets": [asdict(verdict) for verdict in verdicts(self.rows)],
            },
            indent=1,
        )

    def as_text(self) -> str:
        found = verdicts(self.rows)
        lines = [f"date: {self.begun:%Y-%m-%d %H:%M} UTC"]
        lines += [f"{name}: {_written(value)}" for name, value in self.conditions.items()]
        for regime in dict.fromkeys(row.regime for row in self.rows):
            rows = [row for row in self.rows if row.regime == regime]
            lines += ["", *_table(regime, rows)]
            lines += [
                _verdict(verdict) for verdict in found if verdict.target.regime == regime.name
            ]
        return "\n".join(lines)


def _row(row: Row) -> dict[str, Any]:
    return {
        "regime": row.regime.name,
        "peer": row.peer.name,
        "title": row.peer.title,
        "parameters": asdict(row.regime),
        "valid": not row.problems,
        "gain": row.gain,
        "notes": row.notes,
        "medians": row.figures,
        "rounds": [asdict(outcome) for outcome in row.outcomes],
    }


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {content}" for name, content in value.items())
    return str(value)


def _table(regime: Regime, rows: Sequence[Row]) -> list[str]:
    what = _WHAT[regime.figure].format(unit=regime.unit).replace("deliverys", "deliveries")
    columns = COLUMNS[regime.kind]
    heads = ["", *(head for head, _, _ in columns), "rounds", "ours is"]
    cells = [heads, *(_cells(row, columns) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [f"{regime.name}: {regime.title}: {what}"]
    for line in cells:
        first, *others = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        lines.append("  ".join([first.strip().ljust(widths[0]), *others]))
    lines += [f"  {row.peer.name}: {note}" for row in rows for note in row.notes]
    return lines


def _cells(row: Row, columns: Sequence[Column]) -> list[str]:
    figures = row.figures
    written = [
        format(figures[figure], form) if figure in figures else "-" for _, figure, form in columns
    ]
    return [row.peer.name, *written, str(len(row.outcomes)), _gain(row)]


def _gain(row: Row) -> str:
    if row.problems:
        return "INVALID"
    if row.gain is None or row.peer.name == OURS:
        return "-"
    return f"{row.gain:.2f}x better" if row.gain >= 1 else f"{1 / row.gain:.2f}x worse"


def _verdict(verdict: Verdict) -> str:
    target = verdict.target
    if verdict.is_met is None:
        return f"target: {target.text}: not judged, a measurement is missing"
    ratio = f"{verdict.ratio:,.0f}" if not target.against else f"{verdict.ratio:.2f} times"
    return f"target: {target.text}: {ratio}: {'met' if verdict.is_met else 'MISSED'}"

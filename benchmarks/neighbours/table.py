"""The table of what each attack cost, and what the bystanders noticed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median

from .attacks import MIB, Attack
from .bystanders import Experience

SLOWER_AT_MOST = 2.0
"""A bystander's p99 with the attack, compared with the same without it. Other programs on the
machine can do as much: it counts if the event loop has kept others waiting, too."""
TURN_MS = 25.0
"""CPU time between two turns that 99 of 100 have to stay below."""
OWN_BYTES = 16 * MIB
"""What the process may take that belongs to no connection, such as what malloc keeps."""


@dataclass(frozen=True)
class Result:
    """What one attack cost one server."""

    server: str
    attack: Attack
    codes: Counter[str]
    cpu: tuple[float, float]
    """CPU seconds of the server a second, without and with the attack."""
    memory: int
    """Bytes at the peak of the attack, less those before it."""
    turns: tuple[list[float], list[float]]
    """CPU time of the event loop between the turns of a timer, without and with the attack, ms."""
    alone: Experience
    beside: Experience

    @property
    def slower(self) -> float:
        return self.beside.p99 / self.alone.p99

    @property
    def turns_p99(self) -> tuple[float, float]:
        """The CPU time between two turns that one in a hundred turns exceeds."""
        alone, beside = map(sorted, self.turns)
        return alone[int(len(alone) * 0.99)], beside[int(len(beside) * 0.99)]

    @property
    def in_milliseconds(self) -> str:
        """For somebody who watches the run: on a shared machine they say little."""
        alone, beside = ([1_000 * each.p50, 1_000 * each.p99] for each in (self.alone, self.beside))
        return (
            f"p50 and p99 in ms: {alone[0]:.1f}, {alone[1]:.1f} -> {beside[0]:.1f}, {beside[1]:.1f}"
        )

    @property
    def problems(self) -> list[str]:
        found = [f"{text} ({count})" for text, count in Counter(self.beside.problems).items()]
        if self.slower > SLOWER_AT_MOST and self.turns_p99[1] > TURN_MS:
            found.append(f"p99 {self.slower:.1f} times, and turns of {self.turns_p99[1]:.0f} ms")
        if self.memory > self.attack.memory_limit + OWN_BYTES:
            found.append(f"more than {self.attack.memory_limit // MIB} MiB")
        return found

    def cells(self) -> list[str]:
        before, during = self.cpu
        codes = [f"{code} × {n:,}" for code, n in self.codes.most_common() if code != "attempts"]
        return [
            f"{self.attack.title} ({self.attack.row})",
            self.server,
            f"{(during - before) * 1000:.0f}",
            f"{during / before:.1f}",
            f"{max(0, self.memory) / MIB:.0f} of {self.attack.memory_limit // MIB}",
            f"{self.beside.p50 / self.alone.p50:.1f}",
            f"{self.slower:.1f}",
            f"{self.turns_p99[0]:.0f}, {self.turns_p99[1]:.0f}",
            _ratio(self.beside.connected, self.alone.connected),
            _ratio(self.beside.revoked, self.alone.revoked),
            f"{self.codes['attempts']:,}: {', '.join(codes) or 'nothing'}",
        ]


HEADS = [
    "attack",
    "server",
    "CPU, ms/s",
    "CPU, ratio",
    "memory, MiB",
    "p50",
    "p99",
    "turns, ms",
    "connect",
    "revoke",
    "connections, and what they got",
]


def _ratio(beside: list[float], alone: list[float]) -> str:
    return f"{median(beside) / median(alone):.1f}" if beside and alone else "-"


def as_markdown(results: list[Result]) -> str:
    rows = [HEADS, ["---"] * len(HEADS), *(result.cells() for result in results)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)

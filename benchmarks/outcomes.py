"""The outcome of a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .accounting import Reading


@dataclass
class Outcome:
    """The figures of one measurement, and the problems that make them invalid."""

    figures: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def figures_between(
    before: Reading, after: Reading, *, units: int, messages: int
) -> dict[str, float]:
    seconds = after.at - before.at
    server = after.server - before.server
    redis = after.redis - before.redis
    return {
        "seconds": seconds,
        "units": units,
        "messages": messages,
        "rate": units / seconds,
        "cpu_us": server / units * 1e6 if units else 0.0,
        "redis_us": redis / messages * 1e6 if messages else 0.0,
        "server_core": server / seconds,
        "redis_core": redis / seconds,
        "generator_core": (after.generator - before.generator) / seconds,
        "others_core": max(0.0, after.busy - before.busy - server) / seconds,
    }


def latency(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000
        for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999))
        if ordered
    }

"""What this process has counted and measured since its start.

Plain integers, incremented where things happen; no library, no lock. Two threads that count at the
same time may lose one: the event loop counts nearly everything. A process writes a snapshot for all
others with each of its heartbeats, and `rest/metrics.py` exports them for Prometheus.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import NamedTuple

import msgspec


class Definition(NamedTuple):
    """A metric: its name for Prometheus after `realtime_`, its kind, its label, and what it is."""

    name: str
    kind: str
    help: str
    label: str = ""


DEFINITIONS = (
    Definition("connections", "gauge", "Open connections that have signed in."),
    Definition("rooms", "gauge", "Rooms that somebody on this process is in."),
    Definition("outbox_bytes", "gauge", "Bytes that wait for clients to read them."),
    Definition("connections_opened", "counter", "Connections that were accepted."),
    Definition("published", "counter", "Messages of clients that were kept and broadcast."),
    Definition("delivered", "counter", "Messages that were queued for a connection."),
    Definition("closed", "counter", "Connections that the server closed, by code.", "code"),
    Definition("refused", "counter", "Commands and credentials that were refused.", "reason"),
    Definition("redis_refused", "counter", "Errors of Redis, by kind.", "kind"),
    Definition("gaps", "counter", "Gaps in what came from Redis, by outcome.", "outcome"),
    Definition("recoveries", "counter", "Subscriptions with a position, by outcome.", "outcome"),
    Definition("right_seconds", "histogram", "Time to look up a right that was not cached."),
    Definition("publish_seconds", "histogram", "Time to keep and broadcast one message of 16."),
    Definition("lag_seconds", "histogram", "Time from publishing to the sockets, of samples."),
    Definition("redis_seconds", "histogram", "Time of a heartbeat to Redis and back."),
)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""The upper bounds of the buckets of all histograms; the last bucket has none."""
ONE_OF = 16
"""Of so many messages of clients, one is timed. A power of two."""


class Histogram:
    """How often something took how long."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds


class Snapshot(msgspec.Struct):
    """The metrics of one process, as they are written for all others."""

    process: str
    """The host and the id of the process."""
    values: dict[str, float]
    labelled: dict[str, dict[str, int]]
    buckets: dict[str, list[int]]
    totals: dict[str, float]


class Metrics:
    """The metrics of this process, each as an attribute with the name of its definition."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin again. For tests."""
        self.connections_opened = 0
        self.published = 0
        self.delivered = 0
        self.closed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.redis_refused: Counter[str] = Counter()
        self.gaps: Counter[str] = Counter()
        self.recoveries: Counter[str] = Counter()
        self.right_seconds = Histogram()
        self.publish_seconds = Histogram()
        self.lag_seconds = Histogram()
        self.redis_seconds = Histogram()

    def snapshot(self, process: str, gauges: dict[str, float]) -> Snapshot:
        """Return all of them, with the gauges that somebody else has counted."""
        values, labelled = dict(gauges), {}
        buckets, totals = {}, {}
        for each in DEFINITIONS:
            if each.kind == "histogram":
                histogram: Histogram = getattr(self, each.name)
                buckets[each.name], totals[each.name] = list(histogram.buckets), histogram.total
            elif each.label:
                labelled[each.name] = dict(getattr(self, each.name))
            elif each.kind == "counter":
                values[each.name] = getattr(self, each.name)
        return Snapshot(process, values, labelled, buckets, totals)


metrics = Metrics()

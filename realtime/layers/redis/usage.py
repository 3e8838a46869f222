"""The usage of rate limits by users, in Redis."""

from __future__ import annotations

from collections.abc import Mapping

from .keys import owner
from .topology import Topology

USAGE_TTL_MS = 10_000
"""Time after the last addition at which the usage of a user is forgotten."""


class Usage:
    """Adds up what users use in all processes; see `layers.base.Usage`."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    async def add_usage(self, used: Mapping[str, int]) -> dict[str, int]:
        totals = {}
        for user, count in used.items():
            key = self._topology.keys.user(user, "commands")
            pipeline = self._topology.pipeline(owner(key))
            totals[user] = pipeline.send("INCRBY", key, count)
            pipeline.send("PEXPIRE", key, USAGE_TTL_MS)
        return {user: await total for user, total in totals.items()}

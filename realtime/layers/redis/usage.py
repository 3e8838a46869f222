"""The usage of rate limits by users, in Redis."""

from __future__ import annotations

from collections.abc import Mapping

from ...exceptions import LayerUnavailable
from .keys import owner
from .refusals import Refused
from .repairs import outcomes
from .topology import Topology

USAGE_TTL_MS = 10_000
"""Time after the last addition at which the usage of a user is forgotten."""


class Usage:
    """Adds up what users use in all processes; see `layers.base.Usage`."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    async def add_usage(self, used: Mapping[str, int]) -> dict[str, int]:
        totals = []
        for user, count in used.items():
            key = self._topology.keys.user(user, "commands")
            pipeline = self._topology.pipeline(owner(key))
            totals.append(pipeline.send("INCRBY", key, count))
            pipeline.send("PEXPIRE", key, USAGE_TTL_MS)
        found = {}
        for user, total in zip(used, await outcomes(totals), strict=True):
            if isinstance(total, Refused) and total.is_about_data:
                key = self._topology.keys.user(user, "commands")
                self._topology.pipeline(owner(key)).send("DEL", key)
            if not isinstance(total, LayerUnavailable):
                found[user] = total
        return found

"""When rights were changed last, in any process: decides what may be replayed to whom."""

from __future__ import annotations

from math import inf

from ..concurrency.batching import BatchedLookup
from ..layers import RoomLayer


class LastChanges:
    """Looks up, for many users in rooms at once, when their rights were changed last."""

    def __init__(self, layer: RoomLayer) -> None:
        self._layer = layer
        self._lookups: BatchedLookup[tuple[str, str], float] = BatchedLookup(self._ask)

    async def of(self, user: str, room: str) -> float:
        """When the rights of `user`, who may be in `room` now, were changed last: Unix time in ms,
        or -1; infinite if they were gone until now. Raises `LayerUnavailable`."""
        changed_at = await self._lookups.ask((user, room), (user, room))
        if changed_at == inf:
            await self._layer.mark_changes([(user, room)])
        return changed_at

    async def _ask(self, asked: list[tuple[str, str]]) -> list[float | Exception]:
        return list(await self._layer.last_changes(asked))

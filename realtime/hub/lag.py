"""How long a message takes from its publishing to the sockets of this process, by samples."""

from __future__ import annotations

import time

from ..layers import RoomLayer
from ..metrics import metrics


class LagSampler:
    """Remembers when one message was written to the sockets, and asks the layer for its age then.

    The layer has noted when it was published, by its own clock, which also tells its age: clocks of
    hosts play no part. Rooms that keep nothing have no such note.
    """

    __slots__ = ("_layer", "_written", "wants_one")

    def __init__(self, layer: RoomLayer) -> None:
        self._layer = layer
        self.wants_one = True
        """Whether the next message is to be noted: of those between two looks, only the first."""
        self._written = ("", 0, 0.0)

    def note(self, room: str, offset: int) -> None:
        """This message was given to all sockets just now."""
        self.wants_one = False
        self._written = (room, offset, time.monotonic())

    async def look(self) -> None:
        """Observe the lag of the message that was kept. Raises `LayerUnavailable`."""
        if self.wants_one:
            return
        room, offset, written_at = self._written
        self.wants_one = True
        age = await self._layer.age(room, offset)
        if age is not None:
            metrics.lag_seconds.observe(max(0.0, age - (time.monotonic() - written_at)))

"""Which control messages this process has received, so that it can fetch those it has missed."""

from __future__ import annotations

from typing import Any

from ..layers.base import ORDERS_KEPT, RoomLayer


class OrderLog:
    """Finds the control messages that were sent while the connection to Redis was lost."""

    def __init__(self, layer: RoomLayer) -> None:
        self._layer = layer
        self._position: str | None = None
        self._heard: dict[str, None] = {}

    async def start(self) -> None:
        """Note where the messages begin that concern this process; it receives them from now on.
        Raises `LayerUnavailable`."""
        if self._position is None:
            self._position = await self._layer.last_order()

    def is_new(self, message: dict[str, Any]) -> bool:
        """Return whether a message was not received before, and note that it is now."""
        id = message.get("id", "")
        if id in self._heard:
            return False
        if id:
            self._heard[id] = None
            if len(self._heard) > 2 * ORDERS_KEPT:
                # The oldest are not kept by the layer any more, so they never come again.
                for old in list(self._heard)[:ORDERS_KEPT]:
                    del self._heard[old]
        return True

    async def missed(self) -> list[dict[str, Any]]:
        """Return the messages that were not received. Raises `LayerUnavailable`."""
        if self._position is None:
            return []
        self._position, found = await self._layer.orders_since(self._position)
        return [message for message in found if message.get("id") not in self._heard]

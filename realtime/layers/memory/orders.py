"""The messages to the control group, in one process."""

from __future__ import annotations

from typing import Any

from ..groups import CONTROL_GROUP
from .groups import MemoryGroups


class MemoryOrders(MemoryGroups):
    """See `layers.base.Orders`. Nothing is kept, because nobody can lose the connection."""

    def send_order_sync(self, message: dict[str, Any]) -> None:
        self.group_send_sync(CONTROL_GROUP, message)

    async def last_order(self) -> str:
        return ""

    async def orders_since(self, position: str) -> tuple[str, list[dict[str, Any]]]:
        return "", []

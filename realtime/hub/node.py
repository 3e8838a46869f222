"""A node: what one process and event loop has to serve connections."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any
from weakref import WeakKeyDictionary

from ..concurrency import tasks
from ..control.last_changes import LastChanges
from ..control.listener import Controlled, ControlListener
from ..control.reviewer import Reviewer
from ..layers import RoomLayer, get_layer
from ..layers.base import PRESENCE_LOST
from .hub import Hub
from .limits import RateLimit, UnauthenticatedLimit
from .presence import PresenceTracker
from .registry import Registry
from .visits import Visits

FINISH_SECONDS = 1.0


class Node:
    """The services that all connections of a process and event loop share."""

    def __init__(self, layer: RoomLayer) -> None:
        self.layer = layer
        self.sessions: set[Controlled] = set()
        self._finishing: set[asyncio.Task[None]] = set()
        self.hub = Hub(layer, self._on_control_message, self._on_gap)
        self.visits = Visits()
        self.presence = PresenceTracker(layer, self.visits.report)
        self.registry = Registry(layer, self._gauges)
        self.command_limit = RateLimit(layer, "COMMANDS_PER_SECOND", "COMMANDS_BURST", "commands")
        self.byte_limit = RateLimit(layer, "BYTES_PER_SECOND", "BYTES_BURST", "bytes")
        self.unauthenticated = UnauthenticatedLimit()
        self.last_changes = LastChanges(layer)
        self.reviewer: Reviewer[Controlled] = Reviewer(layer)
        self.control = ControlListener(layer, self.sessions, self.reviewer, self.hub.open_channel)

    def finish_later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something for a connection that has ended, before the process ends."""
        task = asyncio.create_task(work, name="realtime-finish")
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    async def close(self) -> None:
        """Stop everything, and remove what this process has written in the layer."""
        if self._finishing:
            await asyncio.wait(self._finishing, timeout=FINISH_SECONDS)
        await tasks.cancel(*self._finishing)
        await self.control.close()
        await self.command_limit.close()
        await self.byte_limit.close()
        await self.presence.close()
        await self.visits.close()
        await self.registry.close()
        await self.hub.close()
        # Last, because it may have to wait for a look-up.
        await self.reviewer.close()

    def _gauges(self) -> dict[str, float]:
        return {"rooms": len(self.hub.rooms)}

    def _on_control_message(self, message: dict[str, Any]) -> None:
        if message["type"] == PRESENCE_LOST:
            self.presence.refresh_room(message["room"])
        else:
            self.control.carry_out(message)

    def _on_gap(self) -> None:
        """Broadcasts may have been missed: look at everything."""
        self.control.on_gap()
        self.hub.check_all()
        self.presence.refresh()


_nodes: WeakKeyDictionary[asyncio.AbstractEventLoop, Node] = WeakKeyDictionary()


def get_node() -> Node:
    """The node of the running event loop, for the layer that is configured now."""
    loop, layer = asyncio.get_running_loop(), get_layer()
    node = _nodes.get(loop)
    if node is None or node.layer is not layer:
        node = _nodes[loop] = Node(layer)
    return node


async def close_node() -> None:
    """Close the node of the running event loop, if there is one."""
    node = _nodes.pop(asyncio.get_running_loop(), None)
    if node is not None:
        await node.close()

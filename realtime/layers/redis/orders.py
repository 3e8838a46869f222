"""The messages to the control group, in Redis: broadcast, and kept in a stream for some minutes."""

from __future__ import annotations

from typing import Any

from ..base import ORDERS_KEPT
from ..groups import CONTROL_GROUP
from .codec import Serializer
from .topology import Topology

KEPT_SECONDS = 300
FIELD = "order"


class Orders:
    """Keeps the messages to the control group; see `layers.base.Orders`."""

    def __init__(self, topology: Topology, serializer: Serializer) -> None:
        self._topology = topology
        self._serializer = serializer

    def send_order_sync(self, message: dict[str, Any]) -> None:
        keys = self._topology.keys
        packed = self._serializer.serialize(message)
        group = keys.group(CONTROL_GROUP)
        with self._topology.client(group) as client:
            # In one step: whoever subscribes later finds it in the stream.
            with client.pipeline(transaction=True) as pipeline:
                pipeline.xadd(keys.orders(), {FIELD: packed}, maxlen=ORDERS_KEPT, approximate=False)
                pipeline.expire(keys.orders(), KEPT_SECONDS)
                pipeline.publish(keys.pubsub(group), packed)
                *_, published = pipeline.execute(raise_on_error=False)
            # A stream that can't be written, in a full Redis for example, keeps nobody connected.
            if isinstance(published, Exception):
                raise published

    async def last_order(self) -> str:
        pipeline, key = self._stream()
        found = await pipeline.send("XREVRANGE", key, "+", "-", "COUNT", 1)
        return found[0][0].decode() if found else ""

    async def orders_since(self, position: str) -> tuple[str, list[dict[str, Any]]]:
        pipeline, key = self._stream()
        after = f"({position}" if position else "-"
        found = await pipeline.send("XRANGE", key, after, "+", "COUNT", ORDERS_KEPT)
        messages = [self._serializer.deserialize(packed) for _, (_, packed) in found]
        return (found[-1][0].decode() if found else position), messages

    def _stream(self) -> tuple[Any, str]:
        # On the shard of the control group.
        return (
            self._topology.pipeline(self._topology.keys.group(CONTROL_GROUP)),
            self._topology.keys.orders(),
        )

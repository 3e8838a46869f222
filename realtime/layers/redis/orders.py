"""The messages to the control group, in Redis: broadcast, and kept in a stream for some minutes.

They are on every shard, so that each one that lives reaches all processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
import redis

from ...exceptions import LayerUnavailable
from ..base import ORDERS_KEPT
from ..groups import CONTROL_GROUP
from .codec import Serializer
from .repairs import living
from .topology import Topology

KEPT_SECONDS = 300
LATE_SECONDS = 0.3
FIELD = "order"

Positions = list[str | None]
"""The id of the last message on each shard: "" if there is none, None if it is not known."""


class Orders:
    """Keeps the messages to the control group; see `layers.base.Orders`."""

    def __init__(self, topology: Topology, serializer: Serializer) -> None:
        self._topology = topology
        self._serializer = serializer

    def send_order_sync(self, message: dict[str, Any]) -> None:
        topology, key = self._topology, self._topology.keys.orders()
        # The same bytes everywhere: a process takes what comes from several shards once.
        packed = self._serializer.serialize(message)
        group = topology.keys.group(CONTROL_GROUP)

        def send(client: redis.Redis, index: int) -> None:
            # In one step: whoever subscribes later finds it in the stream.
            with client.pipeline(transaction=True) as pipeline:
                pipeline.xadd(key, {FIELD: packed}, maxlen=ORDERS_KEPT, approximate=False)
                pipeline.expire(key, KEPT_SECONDS)
                pipeline.publish(topology.name_on(index, group), packed)
                *_, published = pipeline.execute(raise_on_error=False)
            # A stream that can't be written, in a full Redis for example, must not stop an order.
            if isinstance(published, Exception):
                raise published

        living(topology.on_shards_sync(send, enough="one").values())

    async def last_order(self) -> str:
        return _packed(await self._last_orders())

    async def orders_since(self, position: str) -> tuple[str, list[dict[str, Any]]]:
        """The messages of a shard that did not answer when the position was noted are left out:
        they may be from any time before."""
        count = self._topology.count
        before: Positions = msgspec.json.decode(position) if position else [""] * count
        if len(before) != count:
            before = [None] * count  # of another list of hosts
        last = await self._last_orders()
        key = self._topology.keys.orders()
        replies = await _replies(
            pipeline.send("XRANGE", key, f"({after}" if after else "-", "+", "COUNT", ORDERS_KEPT)
            for pipeline, after in zip(self._topology.pipelines(), before, strict=True)
        )
        found: dict[bytes, None] = {}
        reached: Positions = []
        for entries, after, now in zip(replies, before, last, strict=True):
            if isinstance(entries, LayerUnavailable) or after is None:
                reached.append(after if isinstance(entries, LayerUnavailable) else now)
                continue
            reached.append(entries[-1][0].decode() if entries else after)
            found |= dict.fromkeys(packed for _, (_, packed) in entries)
        return _packed(reached), [self._serializer.deserialize(packed) for packed in found]

    async def _last_orders(self) -> Positions:
        key = self._topology.keys.orders()
        replies = await _replies(
            pipeline.send("XREVRANGE", key, "+", "-", "COUNT", 1)
            for pipeline in self._topology.pipelines()
        )
        return [
            None if isinstance(found, LayerUnavailable) else found[0][0].decode() if found else ""
            for found in replies
        ]


async def _replies(asked: Iterable[asyncio.Future[Any]]) -> list[Any | LayerUnavailable]:
    """Return the replies of all shards, with an error for those that are late. Raises
    `LayerUnavailable` if none of them answers."""
    futures = list(asked)
    if len(futures) > 1:
        await asyncio.wait(futures, timeout=LATE_SECONDS)
        if not any(future.done() for future in futures):
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        for future in futures:
            if not future.done():
                future.cancel()
    late = LayerUnavailable("A Redis of several does not answer in time. See the log.")
    found = await asyncio.gather(*futures, return_exceptions=True)
    replies: list[Any | LayerUnavailable] = []
    for each in found:
        if isinstance(each, Exception) and not isinstance(each, LayerUnavailable):
            raise each
        replies.append(late if isinstance(each, asyncio.CancelledError) else each)
    living(replies)
    return replies


def _packed(positions: Positions) -> str:
    return msgspec.json.encode(positions).decode()

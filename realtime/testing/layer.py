"""A room layer for one test: it remembers what was published, and can be away as Redis can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from ..exceptions import LayerUnavailable
from ..layers.base import Append, OnKept
from ..layers.memory import MemoryRoomLayer
from ..rooms.publications import NOTHING_KEPT, Position, Publication, Retention
from .messages import Message

_NEED_REDIS = (
    *("group_add", "group_send", "group_send_sync", "history", "history_sync", "positions"),
    *("earlier_position_sync", "heard_sync", "renew", "renew_sync", "update_presence", "presence"),
    *("presence_sync", "admit", "beat", "write_connections", "live_processes_sync"),
    *(
        "store_ticket",
        "astore_ticket",
        "redeem_ticket",
        "mark_changes_sync",
        "mark_changes",
        "last_changes",
    ),
    *("end_sign_in_sync", "ended_sign_ins", "send_order_sync", "last_order", "orders_since"),
    *("add_usage", "age", "write_metrics", "metrics_sync"),
)


class TestLayer(MemoryRoomLayer):
    """The layer that stands in for Redis."""

    __test__ = False  # pytest takes it for a test otherwise

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.published: list[Message] = []
        self._is_away = False
        self._callbacks: list[tuple[asyncio.AbstractEventLoop, Callable[[], None]]] = []

    @contextmanager
    def away(self) -> Iterator[None]:
        """Raise `LayerUnavailable` for whatever needs Redis."""
        self._is_away = True
        try:
            yield
        finally:
            self._is_away = False
            for loop, callback in self._callbacks:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(callback)

    def require(self) -> None:
        if self._is_away:
            raise LayerUnavailable("Redis is away in this test.")

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._callbacks.append((asyncio.get_running_loop(), callback))

    def append_sync(
        self, room: str, body: bytes, keep: Retention = NOTHING_KEPT, once: str = ""
    ) -> Position:
        self.require()
        with self._lock:
            before = self._streams[room].offset
            position = super().append_sync(room, body, keep, once)
            if position.offset > before:  # else it is the one with the same idempotency key
                publication = Publication(position.offset, body)
                self.published.append(Message.of(room, publication.offset, publication.content()))
        return position

    def append_soon(self, room: str, body: bytes, keep: Retention, on_kept: OnKept) -> None:
        try:
            self.require()
        except LayerUnavailable as error:
            on_kept(error)
        else:
            super().append_soon(room, body, keep, on_kept)

    def append_all_sync(self, appends: Sequence[Append]) -> list[Position | LayerUnavailable]:
        self.require()
        return super().append_all_sync(appends)


def _needing_redis(method: Callable[..., Any]) -> Callable[..., Any]:
    if iscoroutinefunction(method):

        @wraps(method)
        async def _call(self: TestLayer, *args: Any, **kwargs: Any) -> Any:
            self.require()
            return await method(self, *args, **kwargs)

    else:

        @wraps(method)
        def _call(self: TestLayer, *args: Any, **kwargs: Any) -> Any:
            self.require()
            return method(self, *args, **kwargs)

    return _call


for _name in _NEED_REDIS:
    setattr(TestLayer, _name, _needing_redis(getattr(MemoryRoomLayer, _name)))

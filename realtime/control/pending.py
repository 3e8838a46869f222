"""Orders of the site in a transaction: those that are committed leave together, in their order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from weakref import ref

from django.db import transaction

from .messages import Order
from .transactions import after_commit

Send = Callable[[list[Order]], None]


class _Waiting:
    """An order that is not sent yet."""

    __slots__ = ("__weakref__", "is_sent", "order")

    def __init__(self, order: Order) -> None:
        self.order = order
        self.is_sent = False


class PendingOrders:
    """The orders of one transaction."""

    def __init__(self) -> None:
        self._orders: list[ref[_Waiting]] = []
        self.is_over = False

    def add(self, order: Order, using: str | None, send: Send) -> None:
        waiting = _Waiting(order)
        self._orders.append(ref(waiting))
        # Only the callback holds the order: with the rollback of a savepoint it is gone.
        after_commit(partial(self._on_commit, waiting, send), using)

    def _on_commit(self, waiting: _Waiting, send: Send) -> None:
        """The first that is called sends all that wait behind it."""
        self.is_over = True
        if waiting.is_sent:
            return
        alive = [each for reference in self._orders if (each := reference()) is not None]
        now = [each for each in alive[alive.index(waiting) :] if not each.is_sent]
        for each in now:
            each.is_sent = True
        send([each.order for each in now])


def send_together(order: Order, using: str | None, send: Send) -> None:
    """Pass an order to `send` after the commit, with the others of the transaction."""
    connection = transaction.get_connection(using)
    pending: PendingOrders | None = connection.__dict__.get("_realtime_orders", _nothing)()
    if pending is None or pending.is_over:
        pending = PendingOrders()
        connection.__dict__["_realtime_orders"] = ref(pending)
    pending.add(order, using, send)


def _nothing() -> None: ...

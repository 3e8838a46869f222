"""Announcements to all processes: connections to close, rights to review, notices to show."""

from __future__ import annotations

import atexit
import uuid
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from django.db.models import Model
from rest_framework_simplejwt.settings import api_settings

from ..changes import changes
from ..exceptions import PartlyUnavailable
from ..layers import RoomLayer, get_layer
from ..layers.records import Change as LayerChange
from ..names import grants_of
from .announcer import Announcer
from .marks import OwedMarks
from .messages import (
    Message,
    Notice,
    Order,
    Orders,
    Recheck,
    Rechecks,
    Removal,
    Revocation,
    to_dict,
)
from .pending import send_together
from .transactions import Change, announce_first, announce_together

User = Any
"""A user or its primary key; None means all users."""


def removal(
    *,
    user: User = None,
    sign_in: str = "",
    client: str = "",
    room: str = "",
    code: int = 0,
    reason: str = "",
) -> Removal:
    """Connections are closed with `code`, or leave `room` if there is one."""
    return Removal(user_id(user), sign_in, client, room, int(code), reason)


def notice(text: str, *, user: User = None, client: str = "", room: str = "") -> Notice:
    """People are shown a text."""
    return Notice(user_id(user), client, room, text)


def review(*, user: User = None, room: str | None = None) -> Recheck:
    """Rights are computed again."""
    return Recheck(user_id(user), room)


def revocation(*, user: User = None, room: str) -> Revocation:
    """What was granted in a room is taken back."""
    return Revocation(user_id(user), room)


def user_id(user: User) -> str | None:
    """Return the primary key of a user as text."""
    return None if user is None else str(user.pk if isinstance(user, Model) else user)


def announce(message: Message) -> None:
    """Announce a message to all processes now. Raises `LayerUnavailable`."""
    if isinstance(message, Recheck):
        _record([message])
        _send(get_layer(), message, [message])
    else:
        _send(get_layer(), message)


def announce_after_commit(message: Recheck | Order, using: str | None = None) -> None:
    """Announce a message as soon as the running transaction is committed, or now if there is none;
    in one with the others of the transaction.

    Raises nothing: the data is saved, so the request must not fail because Redis is away. Redis
    that does not answer delays the request once, by a second.
    """
    if isinstance(message, Recheck):
        announce_change(Change(message.user, message.room), using)
    else:
        send_together(message, using, _submit_orders)


def announce_change(change: Change, using: str | None = None) -> None:
    """As `announce_after_commit`, in one message with the other changes of the transaction."""
    announce_together(change, using, _announce_changes)


def announce_before_messages(using: str | None) -> None:
    """Announce the changes of the transaction that was just committed, if that is still to be done:
    its messages must not overtake them, or they would reach who has just lost a right."""
    announce_first(using, _announce_changes)


def announce_saved(using: str, *, user: Any = None, **change: Any) -> None:
    """Announce what was saved in the database `using`, with the arguments of a `Change`."""
    announce_change(Change(user=None if user is None else str(user), **change), using)


def _announce_changes(reviews: list[Recheck], locking_out: list[Recheck]) -> None:
    # This process knows now; the others when they receive the message.
    _record(reviews)
    _submit(reviews[0] if len(reviews) == 1 else Rechecks(reviews), locking_out)


def _submit_orders(orders: list[Order]) -> None:
    _submit(orders[0] if len(orders) == 1 else Orders(orders))


def _submit(message: Message, locking_out: Collection[Recheck] = ()) -> None:
    _announcer.submit(partial(_send_later, message, locking_out))


def _send_later(message: Message, locking_out: Collection[Recheck]) -> None:
    _send(get_layer(), message, locking_out)


def _send(layer: RoomLayer, message: Message, locking_out: Collection[Recheck] = ()) -> None:
    unmarked: PartlyUnavailable | None = None
    marks: list[LayerChange] = [(change.user, change.room) for change in locking_out]
    orders = message.orders if isinstance(message, Orders) else [message]
    marks += [
        (order.user, grants_of(order.room)) for order in orders if isinstance(order, Revocation)
    ]
    if marks:
        # Before the message: a client that comes back at once must find it.
        try:
            layer.mark_changes_sync(marks)
        except PartlyUnavailable as error:
            unmarked = error  # a dead Redis must not hold up what the others can do
    for order in orders:
        if isinstance(order, Removal) and order.sign_in and not order.room:
            lifetime = api_settings.ACCESS_TOKEN_LIFETIME.total_seconds()
            layer.end_sign_in_sync(order.sign_in, lifetime)
    # The id tells a process that reads it once more later.
    layer.send_order_sync({**to_dict(message), "id": uuid.uuid4().hex})
    if unmarked is not None:
        _owed_marks.add(unmarked.retry)


def _record(reviews: Sequence[Recheck]) -> None:
    for change in reviews:
        changes.record(change.user, change.room)


def _review_everything() -> None:
    """Stands in for changes that were not announced while Redis was away for too long."""
    announce(review())


def _mark_everything() -> None:
    get_layer().mark_changes_sync([(None, None)])


_owed_marks = OwedMarks(_mark_everything)
_announcer = Announcer(on_given_up=_review_everything)
# A command may end before its change is sent: on a busy machine, or if Redis is slow.
wait_until_tried = _announcer.wait_until_tried
atexit.register(wait_until_tried)

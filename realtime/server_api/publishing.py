"""Publishes to rooms from server code: a view, a task, a thread, a shell."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import transaction

from ..concurrency import threads
from ..concurrency.pools import PoolBusy, TookTooLong
from ..concurrency.threads import refuse_on_event_loop
from ..databases import reads_up_to_date
from ..exceptions import LayerUnavailable
from ..layers import get_layer
from ..models import Room
from ..names import check_name
from ..rooms import finding
from ..rooms.payloads import encode
from ..rooms.publications import Retention, publication_body, retention

logger = logging.getLogger("realtime.publishing")


def publish(
    room: str,
    data: Any,
    *,
    idempotency_key: str = "",
    on_commit: bool = True,
    using: str | None = None,
) -> None:
    """Publish `data`, any JSON value, to everybody in `room`. Rights are not checked.

    Inside a transaction the message is sent after the commit, and is dropped on a rollback; with
    `on_commit=False` it is sent at once. `using` names the database of the transaction.

    With an `idempotency_key`, publishing to the room again with the same key does nothing for 300 s
    (`IDEMPOTENCY_TTL_SECONDS`), so a task can be retried safely.

    Raises `InvalidPayload` and `InvalidRoomName` at once. Without a transaction it also raises
    `LayerUnavailable`; the message may then have been sent: retry with the same key. After a commit
    this is logged instead, because the request has done its work.
    """
    refuse_on_event_loop("publish")
    body = publication_body(encode(data), None)
    publish_body(room, body, idempotency_key=idempotency_key, on_commit=on_commit, using=using)


def publish_body(
    room: str,
    body: bytes,
    *,
    idempotency_key: str = "",
    on_commit: bool = True,
    using: str | None = None,
) -> None:
    """As `publish`, for a body that is ready."""
    check_name(room)
    layer = get_layer()

    def send() -> None:
        layer.append_sync(room, body, _retention(room), idempotency_key)

    if on_commit and transaction.get_connection(using).in_atomic_block:
        transaction.on_commit(partial(_send_after_commit, send, room), using=using)
    else:
        send()


def _send_after_commit(send: Callable[[], None], room: str) -> None:
    """The data is saved, so the request must not fail any more."""
    try:
        send()
    except LayerUnavailable as error:
        logger.warning("a message to the room %r was not sent after the commit: %s", room, error)


async def apublish(room: str, data: Any, *, idempotency_key: str = "") -> None:
    """As `publish`, for coroutines. Sends at once: Django has no transactions in async code."""
    await apublish_body(room, publication_body(encode(data), None), idempotency_key=idempotency_key)


async def apublish_body(room: str, body: bytes, *, idempotency_key: str = "") -> None:
    """As `apublish`, for a body that is ready."""
    check_name(room)
    try:
        keep = await threads.run_in_thread(_retention, room)
    except (TookTooLong, PoolBusy) as error:
        raise LayerUnavailable("the room could not be looked up in time") from error
    await get_layer().append(room, body, keep, idempotency_key)


@reads_up_to_date
def _retention(name: str) -> Retention:
    """Return the retention of a room; that of a room with default settings if it is missing."""
    return retention(finding.find(name) or Room(name=name))

"""Publish to a room from anywhere: a view, a task, a thread, a shell, a transaction."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from ..concurrency import threads
from ..concurrency.threads import refuse_on_event_loop
from ..layers import get_layer
from ..models import Room
from ..names import check_name
from ..rooms import finding
from ..rooms.payloads import encode
from ..rooms.publications import Retention, publication_body, retention


def publish(
    room: str,
    data: Any,
    *,
    idempotency_key: str = "",
    on_commit: bool = True,
    using: str | None = None,
) -> None:
    """Publish `data`, any JSON value, to everybody in `room`.

    Inside a transaction it is sent after the commit, and after a rollback not at all; with
    `on_commit=False` at once. `using` names the database of the transaction. With an
    `idempotency_key` a second publish to the room within 300 s (`IDEMPOTENCY_TTL_SECONDS`) does
    nothing, so that a task may be tried again. No rights are asked: this is the server speaking.

    Raises `InvalidPayload` and `InvalidRoomName` at once, `LayerUnavailable` when it is sent; the
    message may then have been sent or not, which is what the key is for.
    """
    refuse_on_event_loop("publish")
    body = publication_body(encode(data), None)
    check_name(room)
    layer = get_layer()

    def send() -> None:
        layer.append_sync(room, body, _retention(room), idempotency_key)

    if on_commit:
        transaction.on_commit(send, using=using)
    else:
        send()


async def apublish(room: str, data: Any, *, idempotency_key: str = "") -> None:
    """As `publish`, from a coroutine, and at once: Django has no transactions in async code."""
    check_name(room)
    body = publication_body(encode(data), None)
    keep = await threads.run_in_thread(_retention, room)
    await get_layer().append(room, body, keep, idempotency_key)


def _retention(name: str) -> Retention:
    """A room that is not made yet is kept like one that is made without further words."""
    return retention(finding.find(name) or Room(name=name))

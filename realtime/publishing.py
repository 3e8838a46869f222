"""Publish to a room from anywhere: a view, a task, a thread, a shell, a transaction."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from django.db import transaction

from . import rooms
from .concurrency import threads
from .concurrency.threads import refuse_on_event_loop
from .conf import realtime_settings
from .exceptions import InvalidPayload, PayloadTooLarge
from .layers import get_layer
from .layers.base import Retention
from .models import Room
from .names import check_name
from .protocols.messages import publication_body
from .protocols.payloads import is_portable, on_one_line


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


def has_publish_hook(room: rooms.AnyRoom) -> bool:
    return (
        isinstance(room, rooms.CodeRoom)
        and type(room.type).on_publish is not rooms.RoomType.on_publish
    )


async def run_publish_hook(room: rooms.AnyRoom, user: Any, data: bytes) -> bytes:
    """What the room's `on_publish` makes of what a client publishes; the same bytes without one."""
    if not isinstance(room, rooms.CodeRoom) or not has_publish_hook(room):
        return data
    changed = await threads.call_hook(room.type.on_publish, user, decode(data), **room.captured)
    return data if changed is None else encode_result(changed)


def encode(data: Any) -> bytes:
    """`data` as JSON. Raises `InvalidPayload` for what JSON does not have.

    The standard library's encoder, because msgspec's writes sets, decimals and NaN without a word.
    """
    try:
        text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        return checked(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, InvalidPayload):
            raise
        raise InvalidPayload(f"the payload is not JSON: {error}") from error


def encode_result(value: Any) -> bytes:
    """As `encode`, for what a hook returned: that it is not JSON is not the client's fault."""
    try:
        return encode(value)
    except InvalidPayload as error:
        raise TypeError(f"the hook returned what is not JSON: {error}") from error


def decode(data: bytes) -> Any:
    return msgspec.json.decode(data)


def raw(data: bytes) -> msgspec.Raw:
    return msgspec.Raw(data)


def checked(data: bytes) -> bytes:
    """`data` itself, if it is one JSON value of at most `MESSAGE_MAX_BYTES`."""
    if not data:
        raise InvalidPayload("data is missing")
    if len(data) > realtime_settings.MESSAGE_MAX_BYTES:
        raise PayloadTooLarge(
            f"{len(data)} bytes, and {realtime_settings.MESSAGE_MAX_BYTES} are allowed"
        )
    if not is_portable(data):
        raise InvalidPayload("data is not JSON that every client can read")
    if b"\n" in data or b"\r" in data:
        return on_one_line(data)
    return data


def _retention(name: str) -> Retention:
    """A room that is not made yet is kept like one that is made without further words."""
    return rooms.retention(rooms.find(name) or Room(name=name))

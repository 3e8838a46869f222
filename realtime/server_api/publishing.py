"""Publishes to rooms from server code: a view, a task, a thread, a shell."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DatabaseError

from ..concurrency import threads
from ..concurrency.pools import PoolBusy, TookTooLong
from ..concurrency.threads import refuse_on_event_loop
from ..exceptions import LayerUnavailable, UnknownRoom
from ..layers import get_layer
from ..layers.base import Append
from ..names import check_name
from ..rooms.exclusions import with_exclusions
from ..rooms.payloads import encode
from ..rooms.publications import Retention, publication_body
from .outgoing import OnError, is_in_transaction, pending_in, report_failures, send_now
from .targets import retention_of


def publish(
    room: str,
    data: Any,
    *,
    idempotency_key: str = "",
    on_commit: bool = True,
    on_error: OnError | None = None,
    exclude: str | Collection[str] = "",
    using: str | None = None,
) -> None:
    """Publish `data`, any JSON value, to everybody in `room`. Rights are not checked. Returns
    nothing: the number of the message is not known before the commit.

    Inside a transaction the message is sent after the commit, together with the others of the
    transaction, and is dropped on a rollback; with `on_commit=False` it is sent at once. `using`
    names the database of the transaction.

    With an `idempotency_key`, publishing to the room again with the same key does nothing for 300 s
    (`IDEMPOTENCY_TTL_SECONDS`), so a task can be retried safely.

    `exclude` is the id of a connection that does not get the message, or several of them: see
    `realtime.own_client`.

    Raises `InvalidPayload`, `InvalidRoomName` and `UnknownRoom` at once.

    If Redis does not answer, the message may have been sent. Then `on_error="raise"` raises
    `LayerUnavailable`; "log" writes a line to the log and sends the signal
    `realtime.signals.publish_failed`. The default is "log" after a commit, because the request has
    done its work, and "raise" otherwise.
    """
    refuse_on_event_loop("publish")
    publish_body(
        room,
        publication_body(encode(data), None),
        idempotency_key=idempotency_key,
        on_commit=on_commit,
        on_error=on_error,
        exclude=exclude,
        using=using,
    )


def publish_body(
    room: str,
    body: bytes,
    *,
    idempotency_key: str = "",
    on_commit: bool = True,
    on_error: OnError | None = None,
    exclude: str | Collection[str] = "",
    using: str | None = None,
) -> None:
    """As `publish`, for a body that is ready."""
    _check(room, on_error)
    if exclude:
        body = with_exclusions(body, exclude)
    if on_commit and is_in_transaction(using):
        _keep_until_commit(room, body, idempotency_key, on_error, using)
        return
    on_error = on_error or "raise"
    try:
        keep = retention_of(room)
    except (DatabaseError, UnknownRoom) as error:
        _fail(Append(room, body, once=idempotency_key), error, on_error)
    else:
        send_now(get_layer(), Append(room, body, keep, idempotency_key), on_error)


async def apublish(
    room: str,
    data: Any,
    *,
    idempotency_key: str = "",
    on_commit: bool = True,
    on_error: OnError | None = None,
    exclude: str | Collection[str] = "",
    using: str | None = None,
) -> None:
    """As `publish`, for coroutines.

    The transaction is that of the thread in which Django runs sync code for this coroutine: that of
    a sync view that called `async_to_sync`, or one that was begun with `sync_to_async`. To look for
    it takes a turn of that thread; with `on_commit=False` nothing has to wait for it.
    """
    await apublish_body(
        room,
        publication_body(encode(data), None),
        idempotency_key=idempotency_key,
        on_commit=on_commit,
        on_error=on_error,
        exclude=exclude,
        using=using,
    )


async def apublish_body(
    room: str,
    body: bytes,
    *,
    idempotency_key: str = "",
    on_commit: bool = True,
    on_error: OnError | None = None,
    exclude: str | Collection[str] = "",
    using: str | None = None,
) -> None:
    """As `apublish`, for a body that is ready."""
    _check(room, on_error)
    if exclude:
        body = with_exclusions(body, exclude)
    if on_commit and await sync_to_async(_try_to_keep)(
        room, body, idempotency_key, on_error, using
    ):
        return
    on_error = on_error or "raise"
    append = Append(room, body, once=idempotency_key)
    try:
        keep = await _aretention_of(room)
        await get_layer().append(room, body, keep, idempotency_key)
    except (LayerUnavailable, UnknownRoom) as error:
        _fail(append, error, on_error)


def _check(room: str, on_error: OnError | None) -> None:
    """Raise what is a mistake of the caller."""
    if on_error not in (None, "log", "raise"):
        raise ValueError(f'on_error is "log" or "raise", not {on_error!r}.')
    check_name(room)


def _try_to_keep(
    room: str, body: bytes, once: str, on_error: OnError | None, using: str | None
) -> bool:
    """Keep a message until the commit, if there is a transaction. Return whether there is."""
    if not is_in_transaction(using):
        return False
    _keep_until_commit(room, body, once, on_error, using)
    return True


def _keep_until_commit(
    room: str, body: bytes, once: str, on_error: OnError | None, using: str | None
) -> None:
    try:
        # Not held by a variable here: the traceback of an error would keep it beyond a rollback.
        keep = pending_in(using).retentions.get(room) or retention_of(room)
    except UnknownRoom as error:
        # A mistake of the caller, which belongs to the request and not behind its commit.
        _fail(Append(room, body, once=once), error, on_error or "raise")
    else:
        pending = pending_in(using)
        pending.retentions[room] = keep
        pending.add(Append(room, body, keep, once), on_error or "log")


async def _aretention_of(room: str) -> Retention:
    try:
        return await threads.run_in_thread(retention_of, room)
    except (DatabaseError, TookTooLong, PoolBusy) as error:
        raise LayerUnavailable("the room could not be looked up in time") from error


def _fail(append: Append, error: Exception, on_error: OnError) -> None:
    if isinstance(error, DatabaseError):
        unavailable = LayerUnavailable("the room could not be looked up in the database")
        unavailable.__cause__ = error
        error = unavailable
    if on_error == "raise":
        raise error
    report_failures([(append, error)])

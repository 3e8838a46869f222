"""Messages that leave after the commit: those of one transaction together, in their order."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from functools import partial
from typing import Literal
from weakref import ref

from django.db import transaction

from ..control.announcements import announce_before_messages
from ..databases import on_commit
from ..exceptions import LayerUnavailable, RealtimeError
from ..layers import RoomLayer, get_layer
from ..layers.base import Append
from ..rooms.publications import Retention
from ..signals import publish_failed

logger = logging.getLogger("realtime.publishing")

OnError = Literal["log", "raise"]

MOST_NAMED = 5


class Outgoing:
    """A message that was published and is not sent yet."""

    __slots__ = ("__weakref__", "append", "error", "is_sent", "on_error")

    def __init__(self, append: Append, on_error: OnError) -> None:
        self.append = append
        self.on_error = on_error
        self.is_sent = False
        """Whether it was tried. If that failed, `error` says why."""
        self.error: Exception | None = None


def is_in_transaction(using: str | None) -> bool:
    in_atomic_block: bool = transaction.get_connection(using).in_atomic_block
    return in_atomic_block


def send_now(layer: RoomLayer, append: Append, on_error: OnError) -> None:
    """Send a message. With "raise", raises `LayerUnavailable` if it may not have arrived."""
    message = Outgoing(append, on_error)
    _send(layer, [message])
    if message.error is not None and on_error == "raise":
        raise message.error


def send_together(appends: Sequence[Append], databases: Collection[str]) -> None:
    """Send messages in one go, after commits in `databases`: failures are reported, and raise
    nothing."""
    if appends:
        for using in databases:
            announce_before_messages(using)
        _send(get_layer(), [Outgoing(append, "log") for append in appends])


def pending_in(using: str | None) -> Pending:
    """Return the messages that leave after the commit of the running transaction."""
    connection = transaction.get_connection(using)
    # Only the callbacks hold it: with a rollback, Django drops them all. A traceback of a callback
    # may hold it longer.
    pending: Pending | None = connection.__dict__.get("_realtime_outgoing", _nothing)()
    if pending is None or pending.is_over:
        pending = Pending(get_layer(), using)
        connection.__dict__["_realtime_outgoing"] = ref(pending)
    return pending


def _nothing() -> None: ...


class Pending:
    """The messages of a transaction."""

    __slots__ = ("__weakref__", "_layer", "_messages", "_using", "is_over", "retentions")

    def __init__(self, layer: RoomLayer, using: str | None) -> None:
        self.retentions: dict[str, Retention] = {}
        """Those of the rooms that were looked up in this transaction."""
        self.is_over = False
        self._layer = layer
        self._using = using
        self._messages: list[ref[Outgoing]] = []

    def add(self, append: Append, on_error: OnError) -> None:
        message = Outgoing(append, on_error)
        # Only the callback holds the message: with the rollback of a savepoint it is gone.
        callback = partial(self.on_commit, message)
        self._messages.append(ref(message))
        on_commit(callback, self._using, on_error == "log")

    def on_commit(self, message: Outgoing) -> None:
        """The callback of one message. The first that runs sends all that wait behind it too."""
        self.is_over = True
        if not message.is_sent:
            announce_before_messages(self._using)
            _send(self._layer, self._waiting_from(message))
        if message.error is not None and message.on_error == "raise":
            raise message.error

    def _waiting_from(self, first: Outgoing) -> list[Outgoing]:
        """Those before `first` have callbacks that did not run: a test has not called them, say."""
        alive = [message for each in self._messages if (message := each()) is not None]
        return [message for message in alive[alive.index(first) :] if not message.is_sent]


def _send(layer: RoomLayer, messages: Sequence[Outgoing]) -> None:
    for message, error in zip(messages, _errors(layer, messages), strict=True):
        message.is_sent, message.error = True, error
    report_failures(
        [
            (message.append, message.error)
            for message in messages
            if message.error is not None and message.on_error == "log"
        ]
    )


def _errors(layer: RoomLayer, messages: Sequence[Outgoing]) -> list[Exception | None]:
    try:
        outcomes = layer.append_all_sync([message.append for message in messages])
    except LayerUnavailable as error:
        return [error] * len(messages)
    except Exception as error:
        logger.exception("messages could not be published")
        return [error] * len(messages)
    return [outcome if isinstance(outcome, Exception) else None for outcome in outcomes]


def report_failures(failed: Sequence[tuple[Append, Exception]]) -> None:
    """Report messages that were not sent: by one line of the log, and by a signal for each."""
    if not failed:
        return
    rooms = list(dict.fromkeys(append.room for append, _ in failed))
    names = ", ".join(map(repr, rooms[:MOST_NAMED]))
    logger.warning(
        "%d message(s) to %s%s may not have been published: %s. To publish again, connect to "
        'realtime.signals.publish_failed, or catch the error of publish(…, on_error="raise").',
        len(failed),
        names,
        f" and {len(rooms) - MOST_NAMED} more" if len(rooms) > MOST_NAMED else "",
        _cause(failed[0][1]),
    )
    for append, error in failed:
        publish_failed.send_robust(
            sender=None, room=append.room, error=error, idempotency_key=append.once
        )


def _cause(error: Exception) -> str:
    # Other errors may quote what was published.
    return str(error).rstrip(".") if isinstance(error, RealtimeError) else type(error).__name__

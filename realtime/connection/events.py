"""Sends the signals about connections, in a thread of their own: no client waits for a receiver."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from django.db import close_old_connections
from django.dispatch import Signal

from ..concurrency.backlog import Backlog
from ..sparse_log import SparseLogs

_failures = SparseLogs(logging.getLogger("realtime.signals"))

WAITING_MAX = 10_000


class Event(NamedTuple):
    signal: Signal
    about: dict[str, Any]


def send(signal: Signal, session: Any, **about: Any) -> None:
    """Send a signal about a session soon. Costs next to nothing if nobody has connected to it."""
    if not signal.receivers:
        return
    if len(_events) >= WAITING_MAX:
        _failures.warning(
            "full",
            "a signal was not sent: %d wait already. Make the receivers of the signals in"
            " realtime.signals faster.",
            WAITING_MAX,
        )
        return
    _events.add(Event(signal, {"user": session.user_id, "client": session.id, **about}))


def _work(event: Event) -> None:
    close_old_connections()
    try:
        event.signal.send_robust(sender=None, **event.about)  # Django logs what receivers raise
    except Exception:
        _failures.of("").error("a signal could not be sent", exc_info=True)
    finally:
        close_old_connections()


_events: Backlog[Event] = Backlog("realtime-signals", _work)

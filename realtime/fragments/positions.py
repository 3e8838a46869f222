"""The position from which a page that is being rendered has to catch up."""

from __future__ import annotations

import logging
import time
from threading import Thread

from ..exceptions import LayerUnavailable
from ..layers import get_layer
from ..rooms.publications import Position
from ..sparse_log import SparseLogs

OVERLAP_SECONDS = 10.0
"""A view reads its data before its template is rendered. Pages are sent what was published since
this long before: it covers slow views, and what it repeats changes nothing on the page."""

WAIT_SECONDS = 0.5
PAUSE_SECONDS = 10.0

_log = SparseLogs(logging.getLogger("realtime.fragments"))
_away_until = 0.0


def position_before(room: str) -> Position | None:
    """Return the position of the room `OVERLAP_SECONDS` ago; None if Redis does not answer at once.

    Then the page is rendered without it, and looks again once its socket is open. For some seconds
    no other page waits.
    """
    global _away_until
    if time.monotonic() < _away_until:
        return None
    found: list[Position] = []
    failures: list[Exception] = []

    def read() -> None:
        try:
            found.append(get_layer().earlier_position_sync(room, OVERLAP_SECONDS))
        except Exception as error:
            failures.append(error)

    thread = Thread(target=read, name="realtime-position", daemon=True)
    thread.start()
    thread.join(WAIT_SECONDS)
    if found:
        return found[0]
    if failures and not isinstance(failures[0], LayerUnavailable):
        raise failures[0]
    _away_until = time.monotonic() + PAUSE_SECONDS
    _log.warning(
        "away",
        "pages are rendered without the positions of their rooms, and load their live fragments"
        " once more when they are connected: Redis does not answer. Room: %r",
        room,
    )
    return None

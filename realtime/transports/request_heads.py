"""Bounds unfinished requests: connections whose request line and headers do not come to an end.

Until then no application is called, and servers wait for long, or for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..conf import realtime_settings

if TYPE_CHECKING:
    from ..hub.limits import UnauthenticatedLimit

UNCOUNTED_SECONDS = 1.0
"""An unfinished head is counted after this time. If many clients of one proxy connect together,
those whose first bytes are on the way do not count."""

READ_SECONDS = 0.05


class HeadTimer:
    """The time limit of a request head that has begun, and its place among those of its address."""

    __slots__ = ("_abort", "_address", "_counted", "_handle", "_logger", "_loop")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: str,
        abort: Callable[[], None],
        logger: logging.Logger,
    ) -> None:
        self._loop = loop
        self._address = address
        self._abort = abort
        self._logger = logger
        self._counted: UnauthenticatedLimit | None = None
        self._call_later(min(UNCOUNTED_SECONDS, realtime_settings.CONNECT_SECONDS), self._count)

    def cancel(self) -> None:
        """The head is finished, or its connection is lost."""
        self._handle.cancel()
        if self._counted is not None:
            self._counted.leave(self._address)
            self._counted = None

    def _call_later(self, seconds: float, call: Callable[[], None]) -> None:
        # After a pause of the process, uvloop calls what is due before it reads. So it is called a
        # moment later: what has arrived in the pause is read first.
        def when_read() -> None:
            self._handle = self._loop.call_later(READ_SECONDS, call)

        self._handle = self._loop.call_later(max(0, seconds - READ_SECONDS), when_read)

    def _count(self) -> None:
        self._call_later(realtime_settings.CONNECT_SECONDS - UNCOUNTED_SECONDS, self._cut)
        self._counted = unauthenticated()
        if not self._counted.enter(self._address):
            self._logger.info("an address has too many unfinished requests")
            self._abort()

    def _cut(self) -> None:
        self._logger.info("a request was not finished in time; its connection is cut")
        self._abort()


def unauthenticated() -> UnauthenticatedLimit:
    """Where unfinished requests and handshakes are counted."""
    # Imported late: uvicorn's workers load this module before the site, and Django's apps.
    from ..hub.node import get_node

    return get_node().unauthenticated

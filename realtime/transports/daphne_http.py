"""HTTP connections for Daphne that end if a request does not come to its end.

Daphne waits 60 seconds for each line of a request, and knows no limit for all of them. `realtime.
routing` puts this class in the place of Twisted's own when it is imported, which `daphne` and
`runserver` do before they open their port. So no option is needed.

Only a head is limited: the request line and the headers, and with TLS what comes before them.
Bodies, responses and the time between two requests are not touched. The names of Daphne and Twisted
used here are not public.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

from .request_heads import HeadTimer

logger = logging.getLogger("realtime.daphne")

_Base: Any = object


class LimitsHeads(_Base):  # type: ignore[misc]
    """Stands before Twisted's `HTTPChannel`."""

    _head_timer: HeadTimer | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self._start_head_timer()

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if self._head_timer is None and self._has_begun_head and not self._is_closing():
            self._start_head_timer()

    def allHeadersReceived(self) -> None:
        self._stop_head_timer()
        super().allHeadersReceived()

    def setTimeout(self, period: float | None) -> Any:
        """None ends Twisted's own limit: the connection has ended, or has become one of HTTP/2."""
        if period is None:
            self._stop_head_timer()
        return super().setTimeout(period)

    @property
    def _has_begun_head(self) -> bool:
        """Whether lines are read, and some bytes of the first one have come."""
        return bool(self.line_mode and (self._buffer or self.requests))

    def _is_closing(self) -> bool:
        transport = self.transport
        return transport.disconnecting or bool(getattr(transport, "disconnected", False))

    def _start_head_timer(self) -> None:
        address = getattr(self.transport.getPeer(), "host", "")  # a UNIX socket has none
        self._head_timer = HeadTimer(
            asyncio.get_running_loop(), address, self.transport.abortConnection, logger
        )

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def limit_heads() -> None:
    """Let Daphne, if this is a process of it, use our class for connections from now on.

    A factory that is not Daphne's own stays, and so does one whose names have changed.
    """
    http: Any = sys.modules.get("twisted.web.http")
    factory: Any = getattr(sys.modules.get("daphne.server"), "HTTPFactory", None)
    proxy_class = getattr(http, "_GenericHTTPChannelProtocol", None)
    make_protocol = getattr(http, "_genericHTTPChannelProtocolFactory", None)
    if proxy_class is None or make_protocol is None:
        return
    if getattr(factory, "protocol", None) is not make_protocol:
        return
    channel_class = type("HTTPChannel", (LimitsHeads, http.HTTPChannel), {})
    factory.protocol = lambda factory: proxy_class(channel_class())

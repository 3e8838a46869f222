"""An HTTP protocol for uvicorn that closes a connection whose request does not come to its end.

uvicorn itself limits the time between two requests (`--timeout-keep-alive`) and nothing else: a
client that sends half of its request holds its connection for ever. `lifespan` in
`realtime.routing` replaces uvicorn's own class with this one, so that no option is needed.

Only a head is limited: the request line and the headers. Bodies, responses and the time between two
requests are not touched. Of uvicorn, this module knows names that are not public.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .request_heads import HeadTimer

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # uvicorn takes h11 then
    HttpToolsProtocol = None  # type: ignore[assignment, misc]

logger = logging.getLogger("realtime.uvicorn")

if TYPE_CHECKING:
    _Base = H11Protocol
else:
    _Base = object


class _LimitsHeads(_Base):
    """Stands before one of uvicorn's two classes."""

    _head_timer: HeadTimer | None = None

    @property
    def _awaits_head(self) -> bool:
        """Whether the next bytes belong to a head. It may have begun, and no request is running."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._awaits_head:
            self._stop_head_timer()
        elif self._head_timer is None and not self.transport.is_closing():
            self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def _start_head_timer(self) -> None:
        address = self.client[0] if self.client else ""
        self._head_timer = HeadTimer(self.loop, address, self.transport.abort, logger)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class H11HTTPProtocol(_LimitsHeads, H11Protocol):
    """For `--http h11`."""

    @property
    def _awaits_head(self) -> bool:
        return self.conn.their_state is h11.IDLE


if HttpToolsProtocol is None:
    HTTPProtocol: Any = H11HTTPProtocol
else:

    class HTTPToolsHTTPProtocol(_LimitsHeads, HttpToolsProtocol):  # type: ignore[misc]
        """For `--http httptools`, which is uvicorn's default if the library is installed."""

        _is_between_requests = True
        """By the parser: no head is finished whose body is not."""

        @property
        def _awaits_head(self) -> bool:
            is_idle = self.cycle is None or self.cycle.response_complete
            return self._is_between_requests and is_idle

        def on_headers_complete(self) -> None:
            self._is_between_requests = False
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._is_between_requests = True
            super().on_message_complete()

        def handle_websocket_upgrade(self, *args: Any) -> None:
            super().handle_websocket_upgrade(*args)
            self._is_between_requests = False

    HTTPProtocol = HTTPToolsHTTPProtocol

REPLACEMENTS: dict[type, type] = {H11Protocol: H11HTTPProtocol}
"""uvicorn's own classes, and ours. A class of the site stays."""
if HttpToolsProtocol is not None:
    REPLACEMENTS[HttpToolsProtocol] = HTTPProtocol


def limit_heads(config: Any) -> None:
    """Let a server of uvicorn that has not opened its port use our class from now on."""
    config.http_protocol_class = REPLACEMENTS.get(
        config.http_protocol_class, config.http_protocol_class
    )

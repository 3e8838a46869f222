"""The clocks of one connection: how long it may take to connect, to answer a ping, to stay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..codes import CloseCode
from ..conf import realtime_settings
from ..protocols.centrifuge import PING

if TYPE_CHECKING:
    from .session import Session

LONGEST_SECONDS = 86_400
"""A token may live for years; the loop's clock takes no delay beyond some days."""


class Timers:
    """Each is a handle of the event loop. They end the session that they belong to."""

    __slots__ = ("_connect", "_expiry", "_ping", "_pong", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._connect: asyncio.TimerHandle | None = None
        self._ping: asyncio.TimerHandle | None = None
        self._pong: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None

    def expect_connect(self) -> None:
        self._connect = _later(realtime_settings.CONNECT_SECONDS, self._on_missing_connect)

    def on_connect(self) -> None:
        _cancel(self._connect)

    def start_pings(self) -> None:
        self._ping = _later(realtime_settings.PING_SECONDS, self._send_ping)

    def on_pong(self) -> None:
        _cancel(self._pong)
        self._pong = None

    def watch_expiry(self) -> None:
        """End the connection when its credential ends, and not before: a newer one may come."""
        _cancel(self._expiry)
        expires_at = self._session.caller.expires_at
        if expires_at is not None:
            has_pings = self._session.protocol.has_pings
            grace = realtime_settings.EXPIRY_GRACE_SECONDS if has_pings else 0
            self._expiry = _later(expires_at + grace - time.time(), self._on_expiry)

    def stop(self) -> None:
        for handle in (self._connect, self._ping, self._pong, self._expiry):
            _cancel(handle)

    def _on_missing_connect(self) -> None:
        self._session.close(CloseCode.STALE)

    def _send_ping(self) -> None:
        self._session.write(PING)
        self.start_pings()
        if self._pong is None:
            self._pong = _later(realtime_settings.PONG_SECONDS, self._on_missing_pong)

    def _on_missing_pong(self) -> None:
        self._pong = None
        if self._session.is_busy or self._session.publisher.in_flight:
            return  # a pong that waits behind a command of the client is not missing
        self._session.close(CloseCode.NO_PONG)

    def _on_expiry(self) -> None:
        expires_at = self._session.caller.expires_at
        if expires_at is not None and expires_at > time.time():
            self.watch_expiry()
        else:
            self._session.close(CloseCode.EXPIRED)


def _later(seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
    delay = min(max(seconds, 0), LONGEST_SECONDS)
    return asyncio.get_running_loop().call_later(delay, callback)


def _cancel(handle: asyncio.TimerHandle | None) -> None:
    if handle is not None:
        handle.cancel()

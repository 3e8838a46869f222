"""The clocks of one connection: time allowed to connect, to answer a ping, and until it expires."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from ..codes import CloseCode
from ..conf import realtime_settings

EARLY_SECONDS = 0.1
"""The clock of the loop may call a little early."""
LONGEST_SECONDS = 86_400
"""A token may live for years; the loop's clock takes no delay beyond some days."""


class Owner(Protocol):
    """The connection that the clocks belong to."""

    @property
    def is_busy(self) -> bool:
        """Return whether a command was begun and is not answered."""
        ...

    @property
    def expires_at(self) -> float | None:
        """Unix time in seconds; None if the credential does not expire."""
        ...

    @property
    def expiry_grace_seconds(self) -> float: ...
    def send_ping(self) -> None: ...
    def close(self, code: CloseCode) -> None: ...


class Timers:
    """Each clock is a handle of the event loop. They end the connection that they belong to."""

    __slots__ = ("_connect", "_ends_at", "_expiry", "_owner", "_ping", "_pong")

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._connect: asyncio.TimerHandle | None = None
        self._ping: asyncio.TimerHandle | None = None
        self._pong: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._ends_at = 0.0
        """When the credential ends, on the clock of the loop: it is never set back."""

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
        expires_at = self._owner.expires_at
        if expires_at is not None:
            seconds = expires_at + self._owner.expiry_grace_seconds - time.time()
            self._ends_at = asyncio.get_running_loop().time() + seconds
            self._expiry = _later(seconds, self._on_expiry)

    def stop(self) -> None:
        for handle in (self._connect, self._ping, self._pong, self._expiry):
            _cancel(handle)

    def _on_missing_connect(self) -> None:
        self._owner.close(CloseCode.STALE)

    def _send_ping(self) -> None:
        self._owner.send_ping()
        self.start_pings()
        if self._pong is None:
            self._pong = _later(realtime_settings.PONG_SECONDS, self._on_missing_pong)

    def _on_missing_pong(self) -> None:
        self._pong = None
        if self._owner.is_busy:
            return  # a pong that waits behind a command of the client is not missing
        self._owner.close(CloseCode.NO_PONG)

    def _on_expiry(self) -> None:
        seconds = self._ends_at - asyncio.get_running_loop().time()
        if seconds > EARLY_SECONDS:
            self._expiry = _later(seconds, self._on_expiry)
        else:
            self._owner.close(CloseCode.EXPIRED)


def _later(seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
    delay = min(max(seconds, 0), LONGEST_SECONDS)
    return asyncio.get_running_loop().call_later(delay, callback)


def _cancel(handle: asyncio.TimerHandle | None) -> None:
    if handle is not None:
        handle.cancel()

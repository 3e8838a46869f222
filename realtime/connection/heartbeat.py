"""Pings of the transport, for protocols that have no pings of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..conf import realtime_settings


class Heartbeat:
    """Pings every `PING_SECONDS`. If the transport can be answered, `on_silence` is called when no
    answer has come for `PONG_SECONDS`."""

    __slots__ = ("_next", "_on_silence", "_ping", "_silence")

    def __init__(
        self, ping: Callable[[], object], on_silence: Callable[[], None] | None = None
    ) -> None:
        self._ping = ping
        self._on_silence = on_silence
        self._next: asyncio.TimerHandle | None = None
        self._silence: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._next = _later(realtime_settings.PING_SECONDS, self._beat)

    def on_pong(self) -> None:
        """The client is alive."""
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def stop(self) -> None:
        self.on_pong()
        self._on_silence = None
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _beat(self) -> None:
        self.start()
        self._ping()
        if self._on_silence is not None and self._silence is None:
            self._silence = _later(realtime_settings.PONG_SECONDS, self._miss)

    def _miss(self) -> None:
        self._silence = None
        if self._on_silence is not None:
            self._on_silence()


def _later(seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(float(seconds), callback)

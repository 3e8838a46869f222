"""The echo measurement: one client, and the answers of the server."""

from __future__ import annotations

import asyncio
import time

from . import wire
from .connections import Connection
from .flights import STALLED_SECONDS


class Echoes:
    """Sends a message as soon as the answer to the one before has arrived."""

    def __init__(self, client: Connection, size: int) -> None:
        self.latencies: list[float] = []
        self._client = client
        self._size = size
        self._is_over = False
        self._ended = asyncio.Event()
        client.on_messages = self._on_messages

    def ask(self) -> None:
        number = len(self.latencies)
        self._asked_at = time.perf_counter()
        self._client.say(self._client.dialect.echo(wire.text(number, self._size), number))

    async def stop(self) -> bool:
        """Stop sending. Return whether the last answer arrived."""
        self._is_over = True
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    def _on_messages(self, client: Connection, count: int) -> None:
        self.latencies.append(time.perf_counter() - self._asked_at)
        if self._is_over:
            self._ended.set()
        else:
            self.ask()

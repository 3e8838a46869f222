"""A TCP proxy that does what networks do: delay, swallow, reset."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import Any


class FaultProxy:
    """Forwards a free port of this host to `target`; its methods may be called from any thread.

    It has a thread of its own, so that it also works while a test blocks.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._latency = 0.0
        self._open = asyncio.Event()
        self._refuses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._start)

    def delay(self, seconds: float) -> None:
        """From now on every piece of data takes `seconds` longer in each direction."""
        self._latency = seconds

    def swallow(self) -> None:
        """Drop all traffic from now on, without an error: a black hole."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def refuse(self) -> None:
        """Reset all connections, now and as soon as they are opened."""
        self._refuses = True
        self.reset()

    def heal(self) -> None:
        """From now on everything comes through; what was swallowed comes late, as TCP does it."""
        self._latency, self._refuses = 0.0, False
        self._loop.call_soon_threadsafe(self._open.set)

    def reset(self) -> None:
        """Reset all connections."""
        self._run(self._reset)

    def stop(self) -> None:
        self._run(self._stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await work()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _start(self) -> None:
        self._open.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        await self._reset()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._reset()
        await asyncio.sleep(0)  # in which the sockets are closed

    async def _reset(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            await self._open.wait()
            there_reader, there = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(there)
            await asyncio.gather(self._forward(reader, there), self._forward(there_reader, writer))
        except (OSError, asyncio.CancelledError):
            # Python 3.11 reports a cancelled task of a server as an error of the callback.
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces: asyncio.Queue[Any] = asyncio.Queue()
        sending = asyncio.create_task(self._send(pieces, writer))
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(65_536):
                    pieces.put_nowait((self._loop.time() + self._latency, data))
        finally:
            pieces.put_nowait((0, b""))
            await sending

    async def _send(self, pieces: asyncio.Queue[Any], writer: asyncio.StreamWriter) -> None:
        while True:
            due, data = await pieces.get()
            if not data:
                writer.close()
                return
            await asyncio.sleep(due - self._loop.time())
            await self._open.wait()
            with contextlib.suppress(OSError):
                writer.write(data)
                await writer.drain()

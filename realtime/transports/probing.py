"""A polling client tries a WebSocket: what comes over it until the session changes to it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any

from ..concurrency.eager import Rest
from ..conf import realtime_settings
from ..connection.inbox import Inbox
from ..protocols.engineio import PROBE, PROBE_ANSWER, UPGRADE
from ..protocols.frames import Message
from .asgi import TakenOver
from .polling import PollingSession

NORMAL_CLOSURE = 1000


class Probe:
    """Receives what comes over the WebSocket until the session has changed to it."""

    def __init__(self, session: PollingSession, socket: TakenOver) -> None:
        self._session = session
        self._socket = socket
        self._inbox: Inbox | None = None
        """That of the session, once it has changed."""
        self._closing: asyncio.Task[None] | None = None
        self._is_over = False
        loop = asyncio.get_running_loop()
        self._limit = loop.call_later(realtime_settings.CONNECT_SECONDS, self.close)
        socket.listen(Inbox(self, on_end=self._end))
        if session.is_probed or not session.is_polling:
            self._close_socket()  # a second one at the same time
        else:
            session.on_probe_end = self.close

    def receive(self, message: Message) -> Rest | None:
        if self._inbox is not None:
            self._inbox.receive(message)
        elif self._is_over:
            pass
        elif message == PROBE:
            self._session.start_nudging()
            if not self._socket.write_frame(PROBE_ANSWER):
                return self._send({"type": "websocket.send", "text": PROBE_ANSWER})
        elif message == UPGRADE:
            self._change()
        else:
            self.close()
        return None

    def charge(self, frames: int) -> None:
        """Nothing: the time of a probe is limited."""

    def fail(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the WebSocket. The session polls on."""
        if not self._is_over:
            self._end()
            self._close_socket()

    def _change(self) -> None:
        end = partial(self._socket.expect_end, realtime_settings.CLOSE_SECONDS)
        inbox = self._session.upgrade(self._socket, end)
        if inbox is None:
            self.close()
            return
        self._end()
        self._inbox = inbox
        self._socket.listen(inbox)

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._limit.cancel()
        if self._session.on_probe_end == self.close:
            self._session.on_probe_end = None
            self._session.stop_nudging()

    def _close_socket(self) -> None:
        self._is_over = True
        self._limit.cancel()
        self._socket.expect_end(realtime_settings.CLOSE_SECONDS)
        if not self._socket.write_close(NORMAL_CLOSURE, ""):
            event = {"type": "websocket.close", "code": NORMAL_CLOSURE, "reason": ""}
            self._closing = asyncio.create_task(self._send(event))

    async def _send(self, event: dict[str, Any]) -> None:
        # The client may have gone; the end of the connection says so by itself.
        with suppress(Exception):
            await self._socket.send(event)

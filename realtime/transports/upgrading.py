"""The change of a polling client to a WebSocket, as Engine.IO's clients make it.

The client opens a WebSocket with the id of its session, and asks over it whether it works
("2probe", "3probe"). Then it waits for the end of its poll, and says that it changes ("5"). Until
then the session polls; if the client stops half way, it goes on polling.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from ..authentication import origins
from ..concurrency.eager import Rest
from ..conf import realtime_settings
from ..connection.inbox import Inbox
from ..protocols.engineio import PROBE, PROBE_ANSWER, UPGRADE
from ..protocols.frames import Message
from . import servers
from .asgi import Receive, Send, TakenOver
from .engineio import credential_of, query_of, user_of
from .events import EventSocket
from .polling import PollingSession
from .polling_sessions import get_sessions, is_of

logger = logging.getLogger("realtime.engineio")

NORMAL_CLOSURE = 1000


def is_upgrade(scope: dict[str, Any]) -> bool:
    """Return whether a WebSocket is for a session that began with polling."""
    path: str = scope["path"]
    return path.rstrip("/").endswith("/socket.io") and "sid" in query_of(scope)


async def upgrade(
    scope: dict[str, Any], receive: Receive, send: Send, authenticate: Callable[[Any], Any]
) -> None:
    """Serve a WebSocket whose URL has the id of a session. `authenticate` is `JWTAuthMiddleware`.

    What is refused is refused before it is accepted; the client goes on polling.
    """
    if (await receive())["type"] != "websocket.connect":
        return
    session = await _session(servers.with_scheme(scope, send), authenticate)
    if session is None:
        await send({"type": "websocket.close", "code": NORMAL_CLOSURE})
        return
    await send({"type": "websocket.accept", "subprotocol": None})
    taken = servers.take_over(receive, send)
    if taken is not None:
        Probe(session, taken)
        return
    events = EventSocket(receive, send)
    Probe(session, events)
    try:
        await events.run()
    finally:
        if session.is_upgraded:
            await session.wait_until_over()


async def _session(
    scope: dict[str, Any], authenticate: Callable[[Any], Any]
) -> PollingSession | None:
    """The session that a WebSocket asks for, if it may have it."""
    if (reason := origins.refusal(scope)) is not None:
        logger.info("refused a WebSocket: %s", reason)
        return None
    session = get_sessions().get(query_of(scope).get("sid", ""))
    if session is None:
        return None
    credential = credential_of(scope)
    is_its_own = is_of(session, credential, None)
    if is_its_own is None:
        is_its_own = is_of(session, credential, await user_of(scope, authenticate) or "-")
    return session if is_its_own and session.is_polling else None


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

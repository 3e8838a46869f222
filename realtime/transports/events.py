"""A WebSocket on a server that does not hand it over: its events, read until the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from ..conf import realtime_settings
from ..connection.inbox import Inbox
from ..protocols.frames import Message
from . import daphne, servers
from .asgi import Receive, Send

logger = logging.getLogger("realtime.consumers")


class EventSocket:
    """What `TakenOver` describes, for a coroutine of the server that goes on: `run` reads."""

    def __init__(self, receive: Receive, send: Send) -> None:
        sink = servers.sink_of(send)
        # An outbox calls these for each message.
        self.write_frame = sink.write_frame
        self.write_close = sink.write_close
        self.held_bytes = sink.held_bytes
        self.send = sink.send
        self._receive = receive
        self._send = send
        self._inbox: Inbox | None = None
        self._ends_at: float | None = None
        self._deadline: asyncio.Timeout | None = None

    def listen(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def start_pings(self, on_silence: Callable[[], None]) -> None:
        """Nothing: such servers ping their clients themselves."""

    def expect_end(self, seconds: float) -> None:
        self._ends_at = asyncio.get_running_loop().time() + seconds
        if self._deadline is not None:
            self._deadline.reschedule(self._ends_at)

    def shutdown(self) -> None:
        """Nothing: the server closes what its coroutine has left."""

    async def run(self) -> None:
        """Read until the client has gone, or is cut because it does not answer our close."""
        daphne.give_time_to_close(self._send, realtime_settings.CLOSE_SECONDS)
        daphne.limit_buffers(
            self._send, realtime_settings.FRAME_MAX_BYTES, realtime_settings.OUTBOX_MAX_BYTES
        )
        daphne.charge_frames(self._send, self._charge)
        try:
            async with asyncio.timeout_at(self._ends_at) as self._deadline:
                while (event := await self._receive())["type"] != "websocket.disconnect":
                    inbox = self._listener
                    inbox.receive(_message(event))
                    if inbox.is_full:
                        read_on = daphne.pause_reading(self._send)
                        try:
                            await inbox.until_room()
                        finally:
                            read_on()
        except TimeoutError:
            logger.info("a client did not answer the close; its connection is cut")
            self._listener.give_up()
        except asyncio.CancelledError:
            self._listener.give_up()
            raise
        finally:
            self._deadline = None
            self._listener.end()

    def _charge(self, frames: int) -> None:
        self._listener.charge(frames)

    @property
    def _listener(self) -> Inbox:
        assert self._inbox is not None  # `listen` comes before `run`
        return self._inbox


def _message(event: dict[str, Any]) -> Message:
    text: str | None = event.get("text")
    return event.get("bytes") or b"" if text is None else text

"""What one client sends, where the server calls us with each frame: in order, each once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ..concurrency.eager import Rest

logger = logging.getLogger("realtime.inbox")

MOST_UNREAD = 16
"""Frames that may wait until the server should read no more."""


class Receiver(Protocol):
    """What takes the frames of a client."""

    def receive(self, text: str | None) -> Rest | None: ...
    def fail(self) -> None:
        """A frame has raised an exception, which was logged."""
        ...


class Inbox:
    """Takes the frames of a session as they come. What needs time is done in a task, and what comes
    meanwhile waits for it; a client that says nothing, or nothing that needs time, has no task."""

    __slots__ = ("_has_ended", "_obeying", "_on_end", "_receiver", "_waiting", "on_room")

    def __init__(self, receiver: Receiver, on_end: Callable[[], None]) -> None:
        """`on_end` is called once, when the client has gone and its last command is done."""
        self.on_room: Callable[[], None] = _nothing
        """Called when less waits than is allowed, after more did."""
        self._receiver = receiver
        self._on_end = on_end
        self._waiting: deque[str | None] | None = None
        self._obeying: asyncio.Task[None] | None = None
        self._has_ended = False

    @property
    def is_full(self) -> bool:
        return self._waiting is not None and len(self._waiting) >= MOST_UNREAD

    def begin(self, opening: Callable[[], Rest | None]) -> None:
        """Take the step that comes before all frames."""
        try:
            rest = opening()
        except Exception:
            self._fail()
        else:
            if rest is not None:
                self._go_on_with(rest)

    def receive(self, text: str | None) -> None:
        """Take a frame; None is one that is not text."""
        if self._obeying is not None:
            if self._waiting is None:
                self._waiting = deque()
            self._waiting.append(text)
            return
        try:
            rest = self._receiver.receive(text)
        except Exception:
            self._fail()
        else:
            if rest is not None:
                self._go_on_with(rest)

    def end(self) -> None:
        """The client has gone."""
        if not self._has_ended:
            self._has_ended = True
            if self._obeying is None:
                self._on_end()

    def give_up(self) -> None:
        """Don't wait any longer for the command that is under way."""
        if self._obeying is not None:
            self._obeying.cancel()

    def _go_on_with(self, rest: Rest) -> None:
        self._obeying = asyncio.create_task(self._obey(rest), name="realtime-commands")

    async def _obey(self, rest: Rest) -> None:
        try:
            await rest
            while self._waiting:
                was_full = self.is_full
                more = self._receiver.receive(self._waiting.popleft())
                if was_full and not self.is_full:
                    self.on_room()
                if more is not None:
                    await more
        except Exception:
            self._fail()
        finally:
            self._obeying = self._waiting = None
            if self._has_ended:
                self._on_end()

    def _fail(self) -> None:
        logger.exception("a frame could not be obeyed")
        self._receiver.fail()


def _nothing() -> None:
    pass

"""Inbox: takes the frames of one client from a server that calls us, and keeps their order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ..concurrency.eager import Rest
from ..concurrency.jobs import waits_for_thread
from ..protocols.frames import Message

logger = logging.getLogger("realtime.inbox")

MOST_UNREAD = 16
"""Frames that may wait until the server should read no more."""
MOST_UNREAD_CHARACTERS = 65_536
MOST_WAITING = 256
"""Frames that may wait at most, if the server can keep the others of what it has read."""


class Receiver(Protocol):
    """What takes the frames of a client."""

    def receive(self, message: Message) -> Rest | None: ...
    def charge(self, frames: int) -> None:
        """Charge frames that hold no whole text, such as pings of WebSocket."""
        ...

    def fail(self) -> None:
        """A frame has raised an exception, which was logged."""
        ...


class Inbox:
    """Takes the frames of a session as they arrive. A frame that has to wait for something is
    handled in a task, and the frames behind it wait. A silent client has no task."""

    __slots__ = (
        "_characters",
        "_handling",
        "_has_ended",
        "_on_end",
        "_receiver",
        "_waiting",
        "on_room",
    )

    def __init__(self, receiver: Receiver, on_end: Callable[[], None]) -> None:
        """`on_end` is called at the end of the connection, and again after a command that was
        running then: it may have left something behind."""
        self.on_room: Callable[[], None] = _nothing
        """Called when the inbox is no longer full."""
        self._receiver = receiver
        self._on_end = on_end
        self._waiting: deque[Message] | None = None
        self._characters = 0
        """In the messages that wait; of a binary one, its bytes."""
        self._handling: asyncio.Task[None] | None = None
        self._has_ended = False

    @property
    def is_full(self) -> bool:
        return self._waiting is not None and (
            len(self._waiting) >= MOST_UNREAD or self._characters >= MOST_UNREAD_CHARACTERS
        )

    @property
    def is_overfull(self) -> bool:
        """Return whether frames that were already read should be kept back, too."""
        return self._waiting is not None and len(self._waiting) >= MOST_WAITING

    def begin(self, opening: Callable[[], Rest | None]) -> None:
        """Take the step that comes before all frames."""
        try:
            rest = opening()
        except Exception:
            self._fail()
        else:
            if rest is not None:
                self._go_on_with(rest)

    def receive(self, message: Message) -> None:
        """Take a message."""
        if self._handling is not None:
            if self._waiting is None:
                self._waiting = deque()
            self._waiting.append(message)
            self._characters += len(message)
            return
        try:
            rest = self._receiver.receive(message)
        except Exception:
            self._fail()
        else:
            if rest is not None:
                self._go_on_with(rest)

    async def until_room(self) -> None:
        """Wait until the inbox is not full."""
        room = asyncio.Event()
        self.on_room = room.set
        while self.is_full:
            room.clear()
            await room.wait()

    def charge(self, frames: int) -> None:
        self._receiver.charge(frames)

    def end(self) -> None:
        """The client has gone. A command that is running is finished, unless it waits for a thread;
        those behind it are dropped."""
        if self._has_ended:
            return
        self._has_ended = True
        self._waiting = None
        self.on_room()  # whoever waits for room need not wait any more
        if self._handling is not None and waits_for_thread(self._handling):
            self._handling.cancel()
        self._on_end()

    def give_up(self) -> None:
        """Cancel the command that is running."""
        if self._handling is not None:
            self._handling.cancel()

    def _go_on_with(self, rest: Rest) -> None:
        self._handling = asyncio.create_task(self._handle(rest), name="realtime-commands")

    async def _handle(self, rest: Rest) -> None:
        try:
            await rest
            while self._waiting:
                was_full = self.is_full
                message = self._waiting.popleft()
                self._characters -= len(message)
                more = self._receiver.receive(message)
                has_room = was_full and not self.is_full
                if has_room:
                    self.on_room()
                if more is not None:
                    await more
                elif has_room:
                    await asyncio.sleep(0)  # for the turn of other clients
        except Exception:
            self._fail()
        finally:
            was_full = self.is_full
            self._handling = self._waiting = None
            self._characters = 0
            if self._has_ended:
                self._on_end()
            elif was_full:
                self.on_room()

    def _fail(self) -> None:
        logger.exception("a frame could not be handled")
        self._receiver.fail()


def _nothing() -> None:
    pass

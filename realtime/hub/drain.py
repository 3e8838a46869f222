"""Graceful shutdown: on SIGTERM, clients are asked to reconnect before the server stops.

Servers differ here. Daphne cuts its connections; uvicorn closes all of them at once with 1012. So
we take the signal before the server sees it, and hand it on when the last connection has ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import threading
from collections.abc import Sequence
from enum import Enum
from math import ceil
from types import FrameType
from typing import Any

from ..codes import CloseCode
from ..conf import realtime_settings
from ..control.listener import Controlled
from .node import close_node, get_node

logger = logging.getLogger("realtime.drain")

# Shares of DRAIN_SECONDS, one after the other.
SPREAD = 0.7
"""Until then connections are closed, a few at a time."""
PATIENCE = 0.8
"""Until then a command that is running may finish; its connection is closed after it."""
GOODBYE = 0.9
"""Until then clients may answer the close; what is left of the time is for Redis."""
TIDY_MIN_SECONDS = 0.5
"""Redis gets at least so much time, also if `DRAIN_SECONDS` is 0 or the loop came back late."""
PAUSE_MAX_SECONDS = 0.02
POLL_SECONDS = 0.05


class _State(Enum):
    SERVING = "serving"
    DRAINING = "draining"
    HANDED_ON = "handed on"


class _Drain:
    """The state of this process."""

    def __init__(self) -> None:
        self.state = _State.SERVING
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[None] | None = None
        self.previous: Any = None


_drain = _Drain()


def is_draining() -> bool:
    """Return whether new connections should go elsewhere."""
    return _drain.state is not _State.SERVING


def install() -> None:
    """Take SIGTERM before the server does. Called with each connection, does it once."""
    loop = asyncio.get_running_loop()
    if _drain.loop is loop or threading.current_thread() is not threading.main_thread():
        return
    _drain.loop, _drain.task, _drain.state = loop, None, _State.SERVING
    if signal.getsignal(signal.SIGTERM) is not _on_signal:
        _drain.previous = signal.signal(signal.SIGTERM, _on_signal)


def _on_signal(number: int, frame: FrameType | None) -> None:
    loop = _drain.loop
    if loop is None or loop.is_closed():
        _hand_on(number)  # nothing to drain
    elif _drain.state is _State.SERVING:
        _drain.state = _State.DRAINING
        loop.call_soon_threadsafe(_start, number)
    # A supervisor that signals a whole process group, as systemd does, reaches a worker twice: by
    # itself, and through the worker's parent. The second signal must not cut the first one short.


def _start(number: int) -> None:
    _drain.task = asyncio.get_running_loop().create_task(_run(number), name="realtime-drain")


async def _run(number: int) -> None:
    try:
        await drain()
    except Exception:
        logger.exception("the connections could not be drained")
    finally:
        _hand_on(number)


async def drain() -> None:
    """Close every connection of this loop with 3001, a few at a time, and leave Redis tidy.

    Clients are done within 90% of `DRAIN_SECONDS`, finished or not: each step looks at the clock,
    because a busy loop may come back late. Redis gets the rest, and at least `TIDY_MIN_SECONDS`.
    """
    node, loop = get_node(), asyncio.get_running_loop()
    began, seconds = loop.time(), realtime_settings.DRAIN_SECONDS
    sessions = list(node.sessions)
    if sessions:
        logger.info("draining %d connections", len(sessions))
    # Every fan-out is for fewer clients than the one before it, if it lets them go.
    node.hub.ticks.give_way()
    # Spread, so that other processes don't get all of them back in one moment.
    random.shuffle(sessions)
    await _shut_down(sessions, min(seconds * SPREAD, PAUSE_MAX_SECONDS * len(sessions)))
    await _wait_for_the_end(node.sessions, began + seconds * PATIENCE)
    for session in list(node.sessions):
        session.close(CloseCode.SHUTDOWN)
    await _wait_for_the_end(node.sessions, began + seconds * GOODBYE)
    try:
        async with asyncio.timeout_at(max(began + seconds, loop.time() + TIDY_MIN_SECONDS)):
            await close_node()
    except TimeoutError:
        logger.warning(
            "Redis could not be tidied in time; remaining Redis entries expire with their TTL"
        )


async def _shut_down(sessions: Sequence[Controlled], seconds: float) -> None:
    """Shut down sessions evenly over some seconds: as many at a time as the clock asks for."""
    loop = asyncio.get_running_loop()
    began, done = loop.time(), 0
    while done < len(sessions):
        share = (loop.time() - began) / seconds if seconds > 0 else 1.0
        due = min(len(sessions), ceil(len(sessions) * share))
        for session in sessions[done:due]:
            session.shut_down()
        done = max(done, due)
        await asyncio.sleep(min(PAUSE_MAX_SECONDS, seconds / len(sessions)))


async def _wait_for_the_end(sessions: set[Controlled], deadline: float) -> None:
    while sessions and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(POLL_SECONDS)


def _hand_on(number: int) -> None:
    _drain.state = _State.HANDED_ON
    previous = _drain.previous
    if callable(previous):
        previous(number, None)
    elif previous == signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

"""The end of a process: on SIGTERM everybody is told to come back, before the server goes.

Servers differ here. Daphne cuts its connections, uvicorn closes all of them at once with 1012. So
the signal is taken before they see it, and handed on when the last connection has ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import threading
from types import FrameType
from typing import Any

from .conf import realtime_settings
from .hub import close_hub, get_hub

logger = logging.getLogger("realtime.drain")

SPREAD = 0.7
"""The share of the drain time over which connections are closed; the rest is for goodbyes."""
PAUSE_MAX_SECONDS = 0.02
POLL_SECONDS = 0.05


class _Drain:
    """The state of this process: serving, or on its way out."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[None] | None = None
        self.previous: Any = None


_drain = _Drain()


def is_draining() -> bool:
    """Whether new connections should go elsewhere."""
    return _drain.task is not None


def install() -> None:
    """Take SIGTERM before the server does. Called with each connection, does it once."""
    loop = asyncio.get_running_loop()
    if _drain.loop is loop or threading.current_thread() is not threading.main_thread():
        return
    _drain.loop, _drain.task = loop, None
    if signal.getsignal(signal.SIGTERM) is not _on_signal:
        _drain.previous = signal.signal(signal.SIGTERM, _on_signal)


def _on_signal(number: int, frame: FrameType | None) -> None:
    loop = _drain.loop
    if loop is None or loop.is_closed() or _drain.task is not None:
        _hand_on(number)  # nothing to drain, or somebody who does not want to wait
    else:
        loop.call_soon_threadsafe(_start, number)


def _start(number: int) -> None:
    if _drain.task is None:
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

    Ends within `DRAIN_SECONDS`, finished or not.
    """
    hub, loop = get_hub(), asyncio.get_running_loop()
    deadline = loop.time() + realtime_settings.DRAIN_SECONDS
    sessions = list(hub.sessions)
    if sessions:
        logger.info("draining %d connections", len(sessions))
        random.shuffle(sessions)
        # Spread, so that those who stay don't get all of them back in one moment.
        pause = min(PAUSE_MAX_SECONDS, realtime_settings.DRAIN_SECONDS * SPREAD / len(sessions))
    for session in sessions:
        session.shut_down()
        await asyncio.sleep(pause)
    while hub.sessions and loop.time() < deadline:
        await asyncio.sleep(POLL_SECONDS)
    await close_hub()


def _hand_on(number: int) -> None:
    previous = _drain.previous
    if callable(previous):
        previous(number, None)
    elif previous == signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

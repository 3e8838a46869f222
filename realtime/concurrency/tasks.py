"""Reliable cancellation of background tasks."""

import asyncio
from typing import Any


def cancel_soon(task: "asyncio.Task[Any]") -> None:
    """Cancel a task, unless it is the one that calls this."""
    if task is not asyncio.current_task():
        task.cancel()


async def cancel(*tasks: "asyncio.Task[Any] | None") -> None:
    """Cancel tasks and wait for their end.

    Cancels repeatedly: on Python 3.11 `asyncio.wait_for`, which redis-py uses to write, loses a
    cancellation that arrives at the moment when it succeeds.
    """
    pending = {task for task in tasks if task is not None}
    while pending := {task for task in pending if not task.done()}:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=0.1)

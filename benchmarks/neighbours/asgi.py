"""The attacked site, and beside it how long others wait for their turn of the event loop.

A timer that is due every few milliseconds notes how much CPU time the thread of the loop has used
since its last turn: with that, not with the clock, because other programs of the machine have no
part in it. `GET /turns/` gives the notes since the last request, in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from config.asgi import application as site

PATH = "/turns/"
TURN_SECONDS = 0.005

_turns: list[float] = []
_running: set[asyncio.Task[None]] = set()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http" or scope["path"] != PATH:
        await site(scope, receive, send)
        return
    if not _running:
        _running.add(asyncio.create_task(_note_turns()))
    turns, _turns[:] = _turns[:], []
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(turns).encode()})


async def _note_turns() -> None:
    last = time.thread_time()
    while True:
        await asyncio.sleep(TURN_SECONDS)
        now = time.thread_time()
        _turns.append(round((now - last) * 1_000, 2))
        last = now

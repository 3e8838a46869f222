"""A member over server-sent events, which comes back by the id of the last one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import aiohttp

from tests.delivery.clients import Member

RESPONSE_SECONDS = 10


class StreamMember(Member):
    """A member of the room by an event stream, as `EventSource` is one."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.last_id = ""
        self._response: aiohttp.ClientResponse | None = None

    def cut(self, away_seconds: float) -> None:
        self.away_seconds = away_seconds
        if self._response is not None:
            self._response.close()

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=RESPONSE_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            while self.comes_back:
                with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                    await self._listen(http)
                self._response = None
                self.ready.clear()
                pause, self.away_seconds = self.away_seconds, 0.0
                await asyncio.sleep(pause + self.dice.uniform(0.05, 0.4))

    async def _listen(self, http: aiohttp.ClientSession) -> None:
        url = self.dice.choice(self.urls).replace("ws://", "http://").removesuffix("ws/")
        headers = {**self.headers, **({"Last-Event-ID": self.last_id} if self.last_id else {})}
        async with http.get(
            f"{url}realtime/sse/", params={"room": self.room}, headers=headers
        ) as self._response:
            self._response.raise_for_status()
            self.connections += 1
            lines: list[str] = []
            async for raw in self._response.content:
                line = raw.decode().rstrip("\n")
                if line:
                    lines.append(line)
                else:
                    self._take(lines)
                    lines = []

    def _take(self, lines: list[str]) -> None:
        """Take one event. As `EventSource` does, keep its id before it is handled."""
        fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
        if "id" in fields:
            self.last_id = fields["id"]
        if "data" not in fields:
            return
        event = json.loads(fields["data"])
        if event["type"] == "joined":
            self.on_subscribed(event)
        elif event["type"] == "message":
            self.on_publication(event)
        elif event["type"] == "unsubscribed":
            self.ready.clear()  # the end of the stream follows
        else:
            assert event["type"] == "closed" and event["reconnect"], event
            self.close_codes.append(event["code"])

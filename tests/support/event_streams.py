"""A bare reader of event streams."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

SECONDS = 60
PATH = "/realtime/sse/"


async def publish_over_http(url: str, token: str, room: str, *values: Any) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with asyncio.timeout(SECONDS), aiohttp.ClientSession(headers=headers) as http:
        for value in values:
            where = f"{url}/realtime/rooms/{room}/publish/"
            async with http.post(where, json={"data": value}) as response:
                assert response.status < 300, await response.text()


class EventStream:
    """The response to one request, whose events are read one by one."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id = ""
        self.retry = 0
        self.comments = 0
        self._text = ""

    @property
    def status(self) -> int:
        return self.response.status

    async def next(self) -> dict[str, Any]:
        """The data of the next event. Raises `EOFError` at the end."""
        async with asyncio.timeout(SECONDS):
            while True:
                while "\n\n" not in self._text:
                    chunk = await self._read_more()
                    if not chunk:
                        raise EOFError
                    self._text += chunk.decode()
                block, _, self._text = self._text.partition("\n\n")
                if (data := self._read(block)) is not None:
                    return data

    async def until(self, **wanted: Any) -> dict[str, Any]:
        """The next event with these values."""
        while True:
            event = await self.next()
            if all(event.get(key) == value for key, value in wanted.items()):
                return event

    async def rest(self) -> list[dict[str, Any]]:
        """All events up to the end."""
        events = []
        try:
            while True:
                events.append(await self.next())
        except EOFError:
            return events

    async def _read_more(self) -> bytes:
        return await self.response.content.readany()

    def _read(self, block: str) -> dict[str, Any] | None:
        data, name = [], "message"
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "":
                self.comments += 1
            elif field == "id":
                self.last_id = value
            elif field == "retry":
                self.retry = int(value)
            elif field == "event":
                name = value
            elif field == "data":
                data.append(value)
        if not data:
            return None
        event: dict[str, Any] = json.loads("\n".join(data))
        assert event["type"] == name
        return event


class Request(EventStream):
    """A request to an ASGI application, without a server."""

    def __init__(self, application: Any, scope: dict[str, Any], body: bytes = b"") -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self._body = body
        self._has_begun = asyncio.Event()
        self.started: dict[str, Any] = {}
        self.reads = asyncio.Event()
        """Whether the client reads; the server waits for it, as uvicorn does."""
        self.reads.set()
        self.leave = asyncio.Event()
        self._bodies: asyncio.Queue[bytes] = asyncio.Queue()
        self._asked = False
        self.task = asyncio.create_task(application(scope, self._receive, self._send))

    @property
    def status(self) -> int:
        status: int = self.started["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.started["headers"]}

    async def answer(self) -> Any:
        """The whole response, as JSON."""
        async with asyncio.timeout(SECONDS):
            await self.task
        body = b""
        while not self._bodies.empty():
            body += self._bodies.get_nowait()
        return json.loads(body) if body else None

    async def begun_or_over(self) -> None:
        """Wait for the first line of the response."""
        beginning = asyncio.create_task(self._has_begun.wait())
        async with asyncio.timeout(SECONDS):
            await asyncio.wait([beginning, self.task], return_when=asyncio.FIRST_COMPLETED)
        beginning.cancel()

    async def end(self) -> None:
        """The client goes."""
        self.leave.set()
        async with asyncio.timeout(SECONDS):
            await self.task

    async def _read_more(self) -> bytes:
        getting = asyncio.create_task(self._bodies.get())
        await asyncio.wait([getting, self.task], return_when=asyncio.FIRST_COMPLETED)
        if not getting.done() and self._bodies.empty():
            getting.cancel()
            return b""
        return await getting

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def _send(self, event: dict[str, Any]) -> None:
        await self.reads.wait()
        if event["type"] == "http.response.start":
            assert not self.started
            self.started = event
            self._has_begun.set()
        else:
            self._bodies.put_nowait(event["body"])

"""A member over Socket.IO, by polling, by WebSocket, or by both in turn."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import aiohttp
import socketio

from tests.delivery.clients import PAUSE_SECONDS, RESUBSCRIBE, Member

FINAL = 3500
TRANSPORTS = (["polling", "websocket"], ["polling"], ["websocket"])
FAILURES = (socketio.exceptions.SocketIOError, aiohttp.ClientError, OSError, TimeoutError)


class SocketIOMember(Member):
    """A member of the room that keeps its position by itself, and joins from there."""

    def __init__(
        self, *args: Any, transports: tuple[list[str], ...] = TRANSPORTS, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.transports = transports
        self.told: dict[str, Any] | None = None
        """The `closed` event: the server ends the connection."""
        self._client: socketio.AsyncClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self, away_seconds: float) -> None:
        self.away_seconds = away_seconds
        if self._client is not None:
            self._do(self._client.eio.disconnect(abort=True))

    async def run(self) -> None:
        while self.comes_back:
            client = self._client = self._new_client()
            try:
                await self._talk(client)
            finally:
                if client.eio.http is not None:
                    await client.eio.http.close()
            self._client = None
            self.ready.clear()
            pause, self.away_seconds = self.away_seconds, 0.0
            await asyncio.sleep(pause + self.dice.uniform(0.05, 0.4))

    async def _talk(self, client: socketio.AsyncClient) -> None:
        url = self.dice.choice(self.urls).replace("ws://", "http://").removesuffix("ws/")
        with suppress(*FAILURES):
            await client.connect(
                *(url, self.headers, {"recovery": False}),
                transports=self.dice.choice(self.transports),
                wait_timeout=10,
            )
            self.connections += 1
            await self._join(client)
            await client.wait()
        with suppress(*FAILURES):
            await client.disconnect()

    def _new_client(self) -> socketio.AsyncClient:
        client = socketio.AsyncClient(reconnection=False)

        async def on_publication(message: Any) -> None:
            self.on_publication(message)

        async def on_unsubscribed(told: Any) -> None:
            assert told["code"] >= RESUBSCRIBE, told
            self.ledger.recoveries["subscriptions that the server asked to renew"] += 1
            self.ready.clear()
            self._do(self._join(client))

        async def on_closed(told: Any) -> None:
            self.told = told
            self.comes_back = told["code"] < FINAL

        client.on("closed", on_closed)
        client.on("publication", on_publication)
        client.on("unsubscribed", on_unsubscribed)
        return client

    async def _join(self, client: socketio.AsyncClient) -> None:
        since = () if self.place is None else (self.place._asdict(),)

        async def on_answer(reply: Any) -> None:
            # Before the messages that follow it.
            if "error" not in reply:
                self.on_subscribed(reply)
                return
            self.ledger.note_refusal(reply["error"])
            self._do(self._join_later(client))

        await client.emit("join", (self.room, *since), callback=on_answer)

    async def _join_later(self, client: socketio.AsyncClient) -> None:
        await asyncio.sleep(PAUSE_SECONDS)
        with suppress(*FAILURES):
            await self._join(client)

    def _do(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

"""Members and publishers that reconnect after every failure."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.delivery.ledger import Gap, Journal, Ledger, Place

ROOM = "delivery"
RESUBSCRIBE = 2500
ANSWER_SECONDS = 6
PAUSE_SECONDS = 0.2
UNNUMBERED = Place("", 0)

Json = dict[str, Any]


class Client:
    """A client that reconnects to a random server of `urls`; `headers` hold its credential."""

    def __init__(
        self,
        urls: list[str],
        headers: Json,
        ledger: Ledger,
        dice: random.Random,
        room: str = ROOM,
    ) -> None:
        self.urls, self.headers, self.ledger, self.dice = urls, headers, ledger, dice
        self.room = room
        self.connection: ClientConnection | None = None
        self.connections = 0
        self.pings = 0
        self.close_codes: list[int] = []
        self.closed_at = 0.0
        self.away_seconds = 0.0
        self.comes_back = True
        self.ready = asyncio.Event()

    def cut(self, away_seconds: float) -> None:
        """Break the connection as a network failure would, and reconnect later."""
        self.away_seconds = away_seconds
        if self.connection is not None:
            self.connection.transport.abort()

    async def run(self) -> None:
        while True:
            try:
                async with connect(
                    self.dice.choice(self.urls),
                    additional_headers=self.headers,
                    ping_interval=None,
                    close_timeout=1,
                ) as self.connection:
                    self.connections += 1
                    try:
                        await self.talk()
                    finally:
                        self.close_codes.append(self.connection.close_code or 0)
                        self.closed_at = time.monotonic()
            except (OSError, TimeoutError, websockets.WebSocketException):
                pass
            self.connection = None
            self.ready.clear()
            if not self.comes_back:
                return
            pause, self.away_seconds = self.away_seconds, 0.0
            await asyncio.sleep(pause + self.dice.uniform(0.05, 0.4))

    async def talk(self) -> None:
        raise NotImplementedError

    async def send(self, **frame: Any) -> None:
        assert self.connection is not None
        await self.connection.send(json.dumps(frame))

    async def frames(self) -> AsyncIterator[Json]:
        assert self.connection is not None
        async for text in self.connection:
            for line in str(text).split("\n"):
                frame = json.loads(line)
                if frame:
                    yield frame
                else:
                    self.pings += 1
                    await self.connection.send("{}")


class Member(Client):
    """A member of the room, over the native protocol, with recovery."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.journal = Journal()
        self.ledger.journals.append(self.journal)
        self.place: Place | None = None

    async def talk(self) -> None:
        await self.send(id=1, connect={})
        async for frame in self.frames():
            if "connect" in frame:
                await self.subscribe()
            elif "subscribe" in frame:
                self.on_subscribed(frame["subscribe"])
            elif "error" in frame:
                self.ledger.note_refusal(frame["error"])
                await asyncio.sleep(PAUSE_SECONDS)
                await self.subscribe()
            elif "pub" in frame.get("push", {}):
                self.on_publication(frame["push"]["pub"])
            elif "unsubscribe" in frame.get("push", {}):
                assert frame["push"]["unsubscribe"]["code"] >= RESUBSCRIBE, frame
                self.ledger.recoveries["subscriptions that the server asked to renew"] += 1
                self.ready.clear()
                await self.subscribe()

    async def subscribe(self) -> None:
        since = {}
        if self.place is not None:
            since = {"recover": True, **self.place._asdict()}
        await self.send(id=2, subscribe={"channel": self.room, **since})

    def on_subscribed(self, reply: Json) -> None:
        place = Place(reply["epoch"], reply.get("offset", 0))
        if reply.get("recovered"):
            self.place = place
            publications = reply.get("publications", [])
            for publication in publications:
                self.on_publication(publication)
            self.ledger.recoveries[
                "recovered, with messages" if publications else "recovered, nothing missed"
            ] += 1
        else:
            self.journal.gaps.append(Gap(self.place, place))
            if self.place is not None:
                self.ledger.recoveries["not recovered, with notice"] += 1
            self.place = place
        self.ready.set()

    def on_publication(self, publication: Json) -> None:
        assert self.place is not None or "offset" in publication
        epoch = self.place.epoch if self.place is not None else ""
        self.place = Place(epoch, publication["offset"])
        data = publication["data"]
        self.journal.seen.append(((data["from"], data["n"]), self.place))


class SocketPublisher(Client):
    """Publishes numbers over its socket, one after the other.

    A message without acknowledgement may have been sent or not; it is not retried.
    """

    def __init__(self, *args: Any, name: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.name = name
        self._replies: asyncio.Queue[Json] = asyncio.Queue()

    async def talk(self) -> None:
        self._replies = asyncio.Queue()
        await self.send(id=1, connect={})
        async for frame in self.frames():
            if "connect" in frame:
                self.ready.set()
            elif frame.get("id", 0) > 1:
                self._replies.put_nowait(frame)

    async def publish(self, number: int) -> bool:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self.ready.wait()
                await self.send(
                    id=number + 1,
                    publish={"channel": self.room, "data": {"from": self.name, "n": number}},
                )
                while True:
                    reply = await self._replies.get()
                    if reply["id"] == number + 1:
                        if "error" in reply:
                            self.ledger.note_refusal(reply["error"])
                        return "publish" in reply
        except (TimeoutError, AssertionError, websockets.WebSocketException):
            return False


class ServerPublisher:
    """Publishes numbers from Python, as a site does. `send` raises an error if it fails.

    Each message is retried until it succeeds; the idempotency key prevents duplicates.
    """

    def __init__(self, name: str, send: Callable[[Json, str], Awaitable[None]]) -> None:
        self.name = name
        self._send = send

    async def publish(self, number: int) -> bool:
        while True:
            try:
                await self._send({"from": self.name, "n": number}, f"{self.name}:{number}")
                return True
            except Exception:
                await asyncio.sleep(PAUSE_SECONDS)


class TutorialMember(Member):
    """A member of the Channels tutorial's chat: connects, listens and reconnects."""

    async def talk(self) -> None:
        self.ready.set()
        async for frame in self.frames():
            data = json.loads(frame["message"])
            self.journal.seen.append(((data["from"], data["n"]), UNNUMBERED))


class TutorialPublisher(SocketPublisher):
    """Publishes over its socket. The consumer of the tutorial sends no acknowledgements."""

    async def talk(self) -> None:
        self.ready.set()
        async for _ in self.frames():
            pass

    async def publish(self, number: int) -> bool:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self.ready.wait()
                await self.send(message=json.dumps({"from": self.name, "n": number}))
        except (TimeoutError, AssertionError, websockets.WebSocketException):
            pass
        return False

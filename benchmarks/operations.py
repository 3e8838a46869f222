"""The operations whose calls are counted, one after the other, with a mark before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from . import wire
from .connections import Address, Connection, close_all, connect, connect_all
from .dialects import DIALECTS
from .flights import STALLED_SECONDS
from .joins import Visitor

WARM_UPS, WINDOWS = 1, 4
OPERATIONS = 8
MEMBERS = 40
LOBBY, PAIR, HALL, GATE = "lobby", "pair", "hall", "gate"
SUBSCRIBED = [f"room{number}" for number in range(100)]
ROOMS = [LOBBY, PAIR, HALL, GATE, *SUBSCRIBED]
USERS = 2 + 2 + MEMBERS + (WARM_UPS + WINDOWS) * OPERATIONS


@dataclass(frozen=True)
class Window:
    """The numbers of the marks around some operations, and the function calls between them."""

    begin: int
    end: int
    functions: int
    operations: int


async def run(port: int, tokens: list[str]) -> dict[str, list[Window]]:
    """Return the windows of each operation; of "nothing" those in which nothing is done."""
    clients = _Clients(port, iter(tokens))
    observer = Visitor(await clients.enter(LOBBY))
    visitor = Visitor(await clients.enter(LOBBY))
    pair = await clients.enter_together(PAIR, 2)
    hall = await clients.enter_together(HALL, MEMBERS)
    marks = _Marks(observer)
    found = {
        "nothing": await marks.around(_nothing, 1),
        "echo": await marks.around(lambda: _echo(visitor), OPERATIONS),
        "message to two": await marks.around(_Talk(pair).run, OPERATIONS),
        "delivery": await marks.around(_Talk(hall).run, OPERATIONS * MEMBERS),
        "handshake": await marks.around(lambda: clients.come(GATE), OPERATIONS, after=clients.part),
        "subscription": await marks.around(
            lambda: visitor.enter_all(SUBSCRIBED),
            len(SUBSCRIBED),
            after=lambda: visitor.leave_all(SUBSCRIBED),
        ),
    }
    await close_all(clients.all)
    return found


class _Clients:
    """Connects users, each with a token of its own."""

    def __init__(self, port: int, tokens: Iterator[str]) -> None:
        self.all: list[Connection] = []
        self._newcomers: list[Connection] = []
        self._port = port
        self._tokens = tokens

    async def enter(self, room: str) -> Connection:
        address = Address(self._port, room, next(self._tokens))
        self.all.append(await connect(DIALECTS["realtime"], address))
        return self.all[-1]

    async def enter_together(self, room: str, clients: int) -> list[Connection]:
        addresses = [Address(self._port, room, next(self._tokens)) for _ in range(clients)]
        found = await connect_all(DIALECTS["realtime"], addresses)
        self.all += found
        return found

    async def come(self, room: str) -> None:
        """Connect to a room, one client after the other."""
        for _ in range(OPERATIONS):
            self._newcomers.append(await self.enter(room))

    async def part(self) -> None:
        """Close the connections of those that have come."""
        await close_all(self._newcomers)
        self._newcomers = []


class _Talk:
    """The first member sends a message after the other, as soon as all have got the last one."""

    def __init__(self, members: list[Connection]) -> None:
        self._speaker = Visitor(members[0])
        self._members = len(members)
        self._missing = 0
        self._is_heard = asyncio.Event()
        for member in members:
            member.on_messages = self._on_messages

    async def run(self) -> None:
        for number in range(OPERATIONS):
            self._missing += self._members
            self._is_heard.clear()
            await self._speaker.publish(wire.text(number, 64))
            async with asyncio.timeout(STALLED_SECONDS):
                await self._is_heard.wait()

    def _on_messages(self, member: Connection, count: int) -> None:
        self._missing -= count
        if not self._missing:
            self._is_heard.set()


class _Marks:
    def __init__(self, observer: Visitor) -> None:
        self._observer = observer
        self._number = 0

    async def around(
        self,
        run: Callable[[], Awaitable[object]],
        operations: int,
        after: Callable[[], Awaitable[object]] | None = None,
    ) -> list[Window]:
        windows = []
        for _ in range(WARM_UPS + WINDOWS):
            before = await self._mark()
            await run()
            await self._observer.settle()  # presence is written afterwards
            now = await self._mark()
            windows.append(Window(self._number - 1, self._number, now - before, operations))
            if after is not None:
                await after()
                await self._observer.settle()
        return windows[WARM_UPS:]

    async def _mark(self) -> int:
        self._number += 1
        return await self._observer.call("mark", self._number)


async def _nothing() -> None:
    """The cost of the marks."""


async def _echo(visitor: Visitor) -> None:
    for number in range(OPERATIONS):
        await visitor.call("echo", number)

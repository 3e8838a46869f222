"""Joins: clients that enter rooms, and the members who are notified."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence

from .connections import Connection
from .flights import STALLED_SECONDS

QUIET_SECONDS = 0.3
"""After the last write of presence, all members are notified within this time."""
_ERROR = re.compile(rb'"error":\{[^}]*\}')


class Visitor:
    """One client that sends one command after the other. A refusal raises an OSError."""

    def __init__(self, client: Connection) -> None:
        self.room = client.address.room
        self._client = client
        self._id = 100
        self._heard = bytearray()
        self._wanted = re.compile(b"")
        self._answer: asyncio.Future[re.Match[bytes]] | None = None
        client.on_data = self._hear

    async def visit(self, rooms: Sequence[str]) -> int:
        """Enter and leave each room. Return how many rooms were entered."""
        joined = 0
        for room in rooms:
            await self._ask({"subscribe": {"channel": room}}, {"unsubscribe": {"channel": room}})
            joined += self._heard.count(b'"subscribe":{')
        return joined

    async def enter(self) -> None:
        await self._ask({"subscribe": {"channel": self.room}})

    async def be_known(self) -> None:
        """Make the server look up the rights of this user in the room."""
        await self._ask({"history": {"channel": self.room, "limit": 0}})

    async def settle(self) -> None:
        """Wait until the presence of all members is written."""
        await self._ask({"presence_stats": {"channel": self.room}})

    async def queries(self) -> int:
        """How many queries the server has sent to its database so far."""
        return await self.call("queries")

    async def call(self, method: str, data: object = None) -> int:
        """Call a procedure that returns a number."""
        return int((await self._ask({"rpc": {"method": method, "data": data}}))[1])

    async def publish(self, data: str) -> None:
        await self._ask({"publish": {"channel": self.room, "data": data}})

    async def enter_all(self, rooms: Sequence[str]) -> None:
        """Enter all rooms with one frame."""
        await self._ask(*({"subscribe": {"channel": room}} for room in rooms))

    async def leave_all(self, rooms: Sequence[str]) -> None:
        await self._ask(*({"unsubscribe": {"channel": room}} for room in rooms))

    async def _ask(self, *commands: dict[str, object]) -> re.Match[bytes]:
        """Send the commands in one frame. Return the match of the reply to the last one."""
        lines = []
        for command in commands:
            self._id += 1
            lines.append(json.dumps({"id": self._id, **command}, separators=(",", ":")))
        (name,) = commands[-1]
        data = rb'\{"data":(\d+)\}' if name == "rpc" else b""
        self._wanted = re.compile(b'"id":%d,"%b":%b' % (self._id, name.encode(), data))
        self._heard.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self._client.say("\n".join(lines))
        async with asyncio.timeout(STALLED_SECONDS):
            return await self._answer

    def _hear(self, data: bytes) -> None:
        self._heard += data
        if self._answer is None or self._answer.done():
            return
        if refused := _ERROR.search(self._heard):
            self._answer.set_exception(ConnectionError(refused[0].decode()))
        elif answer := self._wanted.search(self._heard):
            self._answer.set_result(answer)


class Entries:
    """Newcomers enter a room one after the other; its members may be notified of each."""

    NEWS = b'"join":{"info"'

    def __init__(
        self, members: Sequence[Connection], newcomers: Sequence[Connection], *, is_watched: bool
    ) -> None:
        self._members = members
        self._visitors = [Visitor(client) for client in newcomers]
        self._expected = len(newcomers) if is_watched else 0
        self._counts = [0] * len(members)
        self._carried = [b""] * len(members)
        self._everybody_knows = asyncio.Event()

    async def prepare(self) -> None:
        """Look up the rights of all newcomers, and wait for notifications of earlier members."""
        for visitor in self._visitors:
            await visitor.be_known()
        await self._visitors[0].settle()
        await asyncio.sleep(QUIET_SECONDS)
        for number, member in enumerate(self._members):
            member.on_data = self._listener(number)

    async def run(self) -> None:
        """Wait until all have entered, their presence is written and the members are notified."""
        for visitor in self._visitors:
            await visitor.enter()
        await self._visitors[0].settle()
        if self._expected:
            async with asyncio.timeout(STALLED_SECONDS):
                await self._everybody_knows.wait()

    async def problems(self) -> list[str]:
        await asyncio.sleep(QUIET_SECONDS)
        expected = self._expected * len(self._members)
        if all(count == self._expected for count in self._counts):
            return []
        return [f"{sum(self._counts):,} of {expected:,} notifications arrived"]

    def _listener(self, number: int) -> Callable[[bytes], None]:
        def on_data(data: bytes) -> None:
            whole = self._carried[number] + data
            self._counts[number] += whole.count(self.NEWS)
            self._carried[number] = whole[1 - len(self.NEWS) :]
            if self._expected and min(self._counts) >= self._expected:
                self._everybody_knows.set()

        return on_data

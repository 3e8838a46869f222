"""The attacks, one for each row of docs/guarantees.md in which a client can use something up."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from .sockets import CONTINUATION, PING, TEXT, Gone, Socket, frame, head, lines

MIB = 2**20
PAUSE_SECONDS = 0.1
FULL_ROOMS = [f"full-{number}" for number in range(10)]
"""Rooms with a long history of large messages."""


@dataclass
class Target:
    """The server under attack, and what the attackers got from it."""

    port: int
    token: str
    seconds: float
    codes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._ends_at = time.monotonic() + self.seconds

    @property
    def left(self) -> float:
        return self._ends_at - time.monotonic()

    async def enter(self, socket: Socket, *, reads: bool = True, **connect: Any) -> None:
        """Connect as the attacker."""
        await socket.open(self.port, self.token)
        await socket.write(lines({"id": 1, "connect": connect}))
        if reads:
            socket.read()


Body = Callable[[Target, Socket], Awaitable[None]]


@dataclass(frozen=True)
class Attack:
    row: str
    title: str
    body: Body
    """What one connection does. It returns when there is nothing left to do but wait."""
    connections: int = 5
    comes_back: bool = True
    """Whether a client whose connection has ended opens another one after a moment."""
    servers: tuple[str, ...] = ("uvicorn", "daphne")

    @property
    def memory_limit(self) -> int:
        """What so many connections may take: `OUTBOX_MAX_BYTES` and `FRAME_MAX_BYTES` each."""
        return self.connections * 2 * MIB

    async def run(self, target: Target) -> None:
        await asyncio.gather(*(self._client(target) for _ in range(self.connections)))

    async def _client(self, target: Target) -> None:
        while target.left > 0:
            target.codes["attempts"] += 1
            socket = Socket(target.codes)
            try:
                async with asyncio.timeout(max(target.left, 0.01)):
                    await self.body(target, socket)
                    if self.comes_back:
                        await socket.closed()
                    else:
                        await asyncio.sleep(target.left)
            except (Gone, OSError, EOFError, TimeoutError):
                pass
            if not self.comes_back:
                await _last_words(socket)
            socket.abort()
            await asyncio.sleep(PAUSE_SECONDS)


async def _last_words(socket: Socket) -> None:
    """Read what a client that did not read was sent, and the close behind it."""
    try:
        async with asyncio.timeout(1):
            await socket.closed()
    except TimeoutError:
        pass


ATTACKS: list[Attack] = []


def attack(row: str, title: str, **options: Any) -> Callable[[Body], Body]:
    def _add(body: Body) -> Body:
        ATTACKS.append(Attack(row, title, body, **options))
        return body

    return _add


async def flood(target: Target, socket: Socket, data: bytes) -> None:
    """Write the same again and again."""
    while target.left > 0:
        await socket.write(data)
        await asyncio.sleep(0)


def numbered(count: int, **command: Any) -> bytes:
    return lines(*({"id": 10 + number, **command} for number in range(count)))


PONGS = frame(b"{}\n" * 340_000)
UNKNOWN = frame(b'{"id":1,"unknown":{}}\n' * 45_000)


@attack("J0", "none: it connects and leaves, ten times a second on each connection")
async def come_and_go(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    await socket.call(id=2, ping={})
    raise Gone


@attack("J1", "frames of 1 MiB full of pongs")
async def pongs_in_one_frame(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    await socket.write(PONGS)


@attack("J1", "frames of 1 MiB full of unknown commands, of strangers")
async def unknown_commands(target: Target, socket: Socket) -> None:
    await socket.open(target.port)
    socket.read()
    await socket.write(UNKNOWN)


@attack("J2", "400 calls in each frame")
async def many_commands(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    await flood(target, socket, numbered(400, rpc={"method": "absent"}))


@attack("J3", "400 commands in each frame, of strangers")
async def many_commands_of_a_stranger(target: Target, socket: Socket) -> None:
    await socket.open(target.port)
    socket.read()
    await flood(target, socket, numbered(400, rpc={"method": "absent"}))


LARGE = lines({"id": 10, "publish": {"channel": "lobby", "data": "x" * 60_000}})


@attack("J4, J5", "messages of 60 KB to the room of the others, as fast as it can")
async def large_messages(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    await flood(target, socket, LARGE)


@attack("J6", "pongs that answer nothing, each in a frame")
async def pongs(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    await flood(target, socket, frame(b"{}") * 1_000)


@attack("J7", "pings of WebSocket")
async def pings(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    await flood(target, socket, frame(b"", PING) * 1_000)


@attack("J7", "fragments without content")
async def fragments(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    await socket.write(frame(b"", TEXT & 0x0F))
    await flood(target, socket, frame(b"", CONTINUATION & 0x0F) * 1_000)


@attack("J8", "pings after the close, which is not answered")
async def after_the_close(target: Target, socket: Socket) -> None:
    await target.enter(socket, reads=False)
    await socket.write(UNKNOWN)
    await flood(target, socket, frame(b"", PING) * 1_000)


MANY = {f"absent-{number}": {} for number in range(40_000)}


@attack("J9", "40,000 rooms in one connect")
async def rooms_in_a_connect(target: Target, socket: Socket) -> None:
    await target.enter(socket, subs=MANY)


RECOVERED = {name: {"recover": True, "epoch": "", "offset": 1} for name in FULL_ROOMS}


@attack("J10", "recovers ten full rooms in one connect, 0.5 MiB each")
async def recoveries(target: Target, socket: Socket) -> None:
    await target.enter(socket, subs=RECOVERED)


ABSENT = lines(
    *({"id": 10 + number, "subscribe": {"channel": f"absent-{number}"}} for number in range(50))
)


@attack("J11", "joins rooms that do not exist, 50 in a frame")
async def absent_rooms(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    await flood(target, socket, ABSENT)


HISTORY = {"channel": FULL_ROOMS[0], "limit": 30}


@attack("J12", "histories of 480 KB, 20 in a frame")
async def histories(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    await socket.call(id=2, subscribe={"channel": FULL_ROOMS[0]})
    await flood(target, socket, numbered(20, history=HISTORY))


@attack("J13", "frames of 1 MiB that do not end", connections=40, comes_back=False)
async def unfinished_frames(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    await socket.write(head(MIB - 1) + bytes(MIB - 2))


@attack("J14", "frames behind a call that does not end", connections=20, comes_back=False)
async def frames_that_wait(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    await socket.write(lines({"id": 2, "rpc": {"method": "slow", "data": "/nowhere/at/all"}}))
    await flood(target, socket, lines({"id": 3, "ping": {}, "x": "y" * 60_000}))


@attack("J15", "histories of 480 KB that are not read", connections=20, comes_back=False)
async def unread_histories(target: Target, socket: Socket) -> None:
    await target.enter(socket, reads=False)
    for number in range(10):
        await socket.write(lines({"id": 10 + number, "history": HISTORY}))


@attack("J16", "pings whose pongs are not read", connections=20, comes_back=False)
async def unread_pongs(target: Target, socket: Socket) -> None:
    await target.enter(socket, reads=False)
    await flood(target, socket, frame(bytes(125), PING) * 100)


DESKS = {f"desk/{number}": {} for number in range(128)}


@attack("J17", "128 rooms in a connect, and hangs up")
async def hanging_up(target: Target, socket: Socket) -> None:
    await target.enter(socket, subs=DESKS)
    raise Gone


NESTED = b'{"id":10,"publish":{"channel":"lobby","data":' + b"[" * 32_000 + b"]" * 32_000 + b"}}"


@attack("J18", "frames of 1 MiB of lines that nest deep")
async def nested_lines(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    await flood(target, socket, frame(b"\n".join([NESTED] * 16)))


@attack("J20", "joins rooms whose rule hangs", connections=60, comes_back=False)
async def hung_rules(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    for number in range(100):
        await socket.call(id=2 + number, subscribe={"channel": f"hung/{number}"})


@attack("J22", "calls that block their thread", connections=60, comes_back=False)
async def blocking_calls(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    for number in range(1_000):
        await socket.call(id=2 + number, rpc={"method": "slow", "data": "/nowhere/at/all"})


@attack("J29", "full histories, one after the other on each connection", connections=20)
async def full_histories(target: Target, socket: Socket) -> None:
    await target.enter(socket)
    await socket.call(id=2, subscribe={"channel": FULL_ROOMS[0]})
    for number in range(10_000):
        await socket.call(id=10 + number, history=HISTORY)

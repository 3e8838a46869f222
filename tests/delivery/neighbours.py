"""Bad neighbours, beside the members whose messages are counted: each does all it can to disturb.

One user has rules that hang, sends frames full of pongs, asks for the whole history of a full room,
and has a room whose keys in Redis are damaged. And rights are withdrawn all the time, in rooms of
each Redis, also while one is dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import redis.asyncio
import websockets
from asgiref.sync import sync_to_async
from websockets.asyncio.client import connect

from tests.delivery.ledger import Ledger
from tests.delivery.site import Site

BAD = "mallory"
VICTIMS = [f"victim-{number}" for number in range(6)]
HOSTAGES = [f"hostage-{number}" for number in range(4)]
NOISE = ("{}\n" * 300_000, '{"id":1,"nothing":{}}\n' * 40_000)
CARRIED_OUT_SECONDS = 10.0
LATE_SECONDS = 1.0
PAUSE_SECONDS = 0.1
AWAY = (OSError, TimeoutError, websockets.WebSocketException, redis.RedisError)

Json = dict[str, Any]


class Neighbours:
    """The neighbours of one run. `neighbours` in the ledger says what they did."""

    def __init__(self, site: Site, ledger: Ledger, seed: int) -> None:
        self._site, self._ledger = site, ledger
        self._dice = random.Random(seed)
        self._full = next(site.rooms_on(site.main, "full"))
        self._spoilt = next(site.rooms_on(site.main, "spoilt"))
        self._private = [next(site.rooms_on(shard, "private")) for shard in (site.main, site.other)]

    def create_rows(self) -> None:
        """Create the users and rooms of the neighbours."""
        from django.contrib.auth.models import User

        from config.management.commands.demo import PASSWORD
        from realtime import publish
        from realtime.models import Room

        for name in (BAD, *VICTIMS, *HOSTAGES):
            User.objects.create_user(name, password=PASSWORD)
        for name in (self._full, self._spoilt):
            Room.objects.create(name=name, access=Room.Access.AUTHENTICATED)
        for name in self._private:
            Room.objects.create(name=name)
        for _ in range(100):
            publish(self._full, "x" * 16_384)

    def works(self) -> list[Callable[[], Any]]:
        """What goes on during the whole run, each again and again."""
        return [self.hang, self.hang, self.make_noise, self.read_all, self.spoil, self.revoke]

    async def keep_on(self, work: Callable[[], Any]) -> None:
        while True:
            try:
                async with asyncio.timeout(30):
                    await work()
                self._ledger.neighbours[work.__name__] += 1
            except AWAY:
                pass  # a server or Redis was killed meanwhile, or has shut the neighbour out
            await asyncio.sleep(PAUSE_SECONDS)

    async def hang(self) -> None:
        """Ask for rooms whose rule does not answer."""
        async with await self._open(BAD) as socket:
            for number in range(5):
                await _send(socket, id=2 + number, subscribe={"channel": f"hung/{number}"})
            await _until(socket, lambda frame: frame.get("id") == 6)

    async def make_noise(self) -> None:
        """Send a frame that holds nothing but pongs, or unknown commands."""
        async with await self._open(BAD) as socket:
            await socket.send(self._dice.choice(NOISE))
            with contextlib.suppress(ConnectionError, websockets.ConnectionClosed):
                await _until(socket, lambda frame: False)

    async def read_all(self) -> None:
        """Ask for the whole history of a full room, many times in one frame."""
        async with await self._open(BAD) as socket:
            await _send(socket, id=2, subscribe={"channel": self._full})
            asked = {"history": {"channel": self._full, "limit": 100}}
            await socket.send("\n".join(json.dumps({"id": 3 + n, **asked}) for n in range(20)))
            await _until(socket, lambda frame: frame.get("id") == 22)

    async def spoil(self) -> None:
        """Damage the keys of a room, and publish to it."""
        client = redis.asyncio.Redis.from_url(self._site.urls[self._site.main])
        try:
            part = self._dice.choice(("stream", "meta", "presence"))
            key = f"{self._site.prefix}:room:{self._spoilt}:{part}"
            await client.delete(key)
            await client.set(key, "of another program")
        finally:
            await client.aclose()
        async with await self._open(BAD) as socket:
            await _send(socket, id=2, subscribe={"channel": self._spoilt})
            await _send(socket, id=3, publish={"channel": self._spoilt, "data": 1})
            await _until(socket, lambda frame: frame.get("id") == 3)

    async def revoke(self) -> None:
        """Give a right and take it again, and wait until it has effect on the open connection."""
        user, room = self._dice.choice(VICTIMS), self._dice.choice(self._private)
        async with await self._open(user) as socket:
            if await self._enter(socket, user, room):
                await self._take(socket, user, room)

    @contextlib.asynccontextmanager
    async def hostages(self) -> AsyncIterator[Hostages]:
        """Connections that are in rooms of both Redis, and whose rights will be withdrawn."""
        async with contextlib.AsyncExitStack() as stack:
            inside = []
            for number, user in enumerate(HOSTAGES):
                room = self._private[number % 2]
                # A server that is busy may send one away, who then is no hostage.
                with contextlib.suppress(*AWAY):
                    socket = await stack.enter_async_context(await self._open(user))
                    if await self._enter(socket, user, room):
                        inside.append((socket, user, room))
            yield Hostages(self, inside)

    async def _enter(self, socket: Any, user: str, room: str) -> bool:
        await sync_to_async(_give)(user, room)
        await _send(socket, id=2, subscribe={"channel": room})
        return "subscribe" in await _until(socket, lambda frame: frame.get("id") == 2)

    async def _take(self, socket: Any, user: str, room: str) -> None:
        began_at = time.monotonic()
        await sync_to_async(_take)(user, room)
        try:
            async with asyncio.timeout(CARRIED_OUT_SECONDS):
                await _until(socket, lambda frame: "unsubscribe" in frame.get("push", {}))
        except TimeoutError:
            self._ledger.not_revoked += 1
        else:
            after = time.monotonic() - began_at
            self._ledger.revoked_after.append(after)
            if after > LATE_SECONDS:
                self._ledger.late.append(f"{user} in {room}: {after:.2f} s")

    async def _open(self, user: str) -> _Connected:
        server = self._dice.choice(list(self._site.servers.values()))
        token = await asyncio.to_thread(server.token, user)
        headers = {"Authorization": f"Bearer {token}"}
        return _Connected(connect(server.ws_url, additional_headers=headers, close_timeout=1))


class Hostages:
    """Connections whose rights are withdrawn while a Redis is dead."""

    def __init__(self, bad: Neighbours, inside: list[tuple[Any, str, str]]) -> None:
        self._bad, self._inside = bad, inside

    async def revoke(self) -> None:
        for hostage in self._inside:
            with contextlib.suppress(*AWAY):
                await self._bad._take(*hostage)
            self._bad._ledger.neighbours["revoke beside a dead Redis"] += 1


class _Connected:
    """A socket with the `connect` command done."""

    def __init__(self, opening: connect) -> None:
        self._opening = opening

    async def __aenter__(self) -> Any:
        socket = await self._opening.__aenter__()
        await _send(socket, id=1, connect={})
        await _until(socket, lambda frame: frame.get("id") == 1)
        return socket

    async def __aexit__(self, *error: Any) -> None:
        await self._opening.__aexit__(*error)


async def _send(socket: Any, **frame: Any) -> None:
    await socket.send(json.dumps(frame))


async def _until(socket: Any, is_wanted: Callable[[Json], bool]) -> Json:
    async for text in socket:
        for line in str(text).split("\n"):
            frame: Json = json.loads(line)
            if not frame:
                await socket.send("{}")
            elif is_wanted(frame):
                return frame
    raise ConnectionError("closed")


def _give(user: str, room: str) -> None:
    from django.contrib.auth.models import User

    from realtime.models import Membership, Room

    Membership.objects.get_or_create(
        room=Room.objects.get(name=room), user=User.objects.get(username=user)
    )


def _take(user: str, room: str) -> None:
    from realtime.models import Membership

    Membership.objects.filter(user__username=user, room__name=room).delete()

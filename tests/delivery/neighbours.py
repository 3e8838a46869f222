"""Bad neighbours, beside the members whose messages are counted: each does all it can to disturb.

One user has rules that hang, sends frames full of pongs, asks for the whole history of a full room,
and has a room whose keys in Redis are damaged. And rights are withdrawn all the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable
from typing import Any

import redis.asyncio
import websockets
from asgiref.sync import sync_to_async
from websockets.asyncio.client import connect

from tests.delivery.ledger import Ledger
from tests.support.processes import Site

BAD, VICTIM = "mallory", "victim"
PRIVATE, FULL, SPOILT = "private", "full", "spoilt"
NOISE = ("{}\n" * 300_000, '{"id":1,"nothing":{}}\n' * 40_000)
CARRIED_OUT_SECONDS = 10.0
PAUSE_SECONDS = 0.1

Json = dict[str, Any]


def create_rows() -> None:
    """Create the users and rooms of the neighbours."""
    from django.contrib.auth.models import User

    from config.management.commands.demo import PASSWORD
    from realtime import publish
    from realtime.models import Room

    for name in (BAD, VICTIM):
        User.objects.create_user(name, password=PASSWORD)
    for name in (FULL, SPOILT):
        Room.objects.create(name=name, access=Room.Access.AUTHENTICATED)
    Room.objects.create(name=PRIVATE)
    for _ in range(100):
        publish(FULL, "x" * 16_384)


class Neighbours:
    """The neighbours of one run. `count` in the ledger says what they did."""

    def __init__(
        self, sites: Callable[[], list[Site]], redis_url: str, prefix: str, ledger: Ledger
    ) -> None:
        self._sites, self._redis_url, self._prefix = sites, redis_url, prefix
        self._ledger = ledger
        self._dice = random.Random(7)

    def works(self) -> list[Callable[[], Any]]:
        """What goes on during the whole run, each again and again."""
        return [self.hang, self.hang, self.make_noise, self.read_all, self.spoil, self.revoke]

    async def keep_on(self, work: Callable[[], Any]) -> None:
        while True:
            try:
                async with asyncio.timeout(30):
                    await work()
                self._ledger.neighbours[work.__name__] += 1
            except (OSError, TimeoutError, websockets.WebSocketException, redis.RedisError):
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
            await _send(socket, id=2, subscribe={"channel": FULL})
            asked = {"history": {"channel": FULL, "limit": 100}}
            await socket.send("\n".join(json.dumps({"id": 3 + n, **asked}) for n in range(20)))
            await _until(socket, lambda frame: frame.get("id") == 22)

    async def spoil(self) -> None:
        """Damage the keys of a room, and publish to it."""
        client = redis.asyncio.Redis.from_url(self._redis_url)
        try:
            part = self._dice.choice(("stream", "meta", "presence"))
            key = f"{self._prefix}:room:{SPOILT}:{part}"
            await client.delete(key)
            await client.set(key, "of another program")
        finally:
            await client.aclose()
        async with await self._open(BAD) as socket:
            await _send(socket, id=2, subscribe={"channel": SPOILT})
            await _send(socket, id=3, publish={"channel": SPOILT, "data": 1})
            await _until(socket, lambda frame: frame.get("id") == 3)

    async def revoke(self) -> None:
        """Give a right and take it again, and wait until it has effect on the open connection."""
        async with await self._open(VICTIM) as socket:
            await sync_to_async(_give)()
            await _send(socket, id=2, subscribe={"channel": PRIVATE})
            entered = await _until(socket, lambda frame: frame.get("id") == 2)
            if "subscribe" not in entered:
                return
            began_at = time.monotonic()
            await sync_to_async(_take)()
            try:
                async with asyncio.timeout(CARRIED_OUT_SECONDS):
                    await _until(socket, lambda frame: "unsubscribe" in frame.get("push", {}))
            except TimeoutError:
                self._ledger.not_revoked += 1
            else:
                self._ledger.revoked_after.append(time.monotonic() - began_at)

    async def _open(self, user: str) -> _Connected:
        site = self._dice.choice(self._sites())
        token = await asyncio.to_thread(site.token, user)
        headers = {"Authorization": f"Bearer {token}"}
        return _Connected(connect(site.ws_url, additional_headers=headers, close_timeout=1))


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


def tracebacks(sites: list[Site]) -> int:
    """How many tracebacks the servers that run now have printed."""
    return sum(site.process.log.read_text(errors="replace").count("Traceback") for site in sites)


def _give() -> None:
    from django.contrib.auth.models import User

    from realtime.models import Membership, Room

    Membership.objects.get_or_create(
        room=Room.objects.get(name=PRIVATE), user=User.objects.get(username=VICTIM)
    )


def _take() -> None:
    from realtime.models import Membership

    Membership.objects.filter(user__username=VICTIM).delete()

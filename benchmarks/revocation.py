"""`python -m benchmarks.revocation`: how long messages still arrive after a right is withdrawn.

A room has 200 messages a second, over a Daphne and a uvicorn process with one Redis. Members lose
the right to be in it by one of three changes in turn: the membership is deleted, the group is taken
away, or the user is deactivated. The time is measured from the commit in the database to the last
message that the member received, and to the push or close that reports the end. All times are of
one clock. A message after the reported end fails the measurement.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import websockets

from tests.support import processes

ROOM = "measured"
SETTLE_SECONDS = 0.15
"""How long messages are still counted after the end was reported."""
CHANGES = ("membership deleted", "group taken away", "user deactivated")
TARGET_MS = 250


@dataclass
class Member:
    """A member of the room, on one of the processes. Records when messages arrived."""

    user: Any
    connection: websockets.ClientConnection
    messages: list[float] = field(default_factory=list)
    ended_at: float = 0.0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Task[None] | None = None

    async def read(self) -> None:
        try:
            async for text in self.connection:
                at = time.monotonic()
                for line in str(text).split("\n"):
                    await self._take(line, at)
        except websockets.ConnectionClosed:
            pass
        self._end(time.monotonic())

    async def _take(self, line: str, at: float) -> None:
        if line == "{}":
            await self.connection.send("{}")
            return
        push = json.loads(line).get("push", {})
        if "pub" in push:
            self.messages.append(at)
        elif "unsubscribe" in push:
            self._end(at)

    def _end(self, at: float) -> None:
        if not self.ended.is_set():
            self.ended_at = at
            self.ended.set()


@dataclass(frozen=True)
class Outcome:
    """The result of one revocation, in seconds from its commit."""

    change: str
    last_message: float
    told: float
    came_after: int


class Measurement:
    """The site under test, its members and the revocations."""

    def __init__(self, folder: Path, *, rate: float, members: int) -> None:
        self.rate, self.members = rate, members
        port = processes.free_port()
        self.redis = processes.start_redis(folder, port)
        self.folder = folder
        self.env = {
            "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
            "REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "REDIS_PREFIX": f"revocation-{uuid.uuid4().hex[:8]}",
            "DJANGO_SETTINGS_MODULE": "tests.settings.base",
            "DJANGO_DEBUG": "1",
            "JWT_SIGNING_KEY": processes.SIGNING_KEY,
        }
        self.sites: list[processes.Site] = []
        self._number = 0

    def start(self) -> None:
        os.environ.update(self.env)
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        call_command("demo", stdout=io.StringIO())
        from django.contrib.auth.models import Group

        from realtime.models import Room

        self.group = Group.objects.create(name="measured")
        self.room = Room.objects.create(name=ROOM)
        self.room.groups.add(self.group)
        for server in ("daphne", "uvicorn"):
            self.sites.append(processes.start_site(server, self.folder, self.env))

    def stop(self) -> None:
        for site in self.sites:
            site.process.stop()
        self.redis.stop()

    async def enter(self, change: str) -> Member:
        """Add a member whose right `change` can take away."""
        self._number += 1
        user, token = await asyncio.to_thread(self._make_user, f"member-{self._number}", change)
        site = self.sites[self._number % len(self.sites)]
        connection = await websockets.connect(site.ws_url, max_size=None, ping_interval=None)
        member = Member(user, connection)
        await connection.send(json.dumps({"id": 1, "connect": {"token": token}}))
        await connection.send(json.dumps({"id": 2, "subscribe": {"channel": ROOM}}))
        subscribed = False
        while not subscribed:
            for line in str(await connection.recv()).split("\n"):
                subscribed = subscribed or "subscribe" in json.loads(line)
        member.reading = asyncio.create_task(member.read())
        return member

    def _make_user(self, name: str, change: str) -> tuple[Any, str]:
        from django.contrib.auth.models import User

        from accounts.serializers import ObtainSerializer
        from realtime.models import Membership

        user = User.objects.create(username=name)
        if change == "group taken away":
            user.groups.add(self.group)
        else:
            Membership.objects.create(room=self.room, user=user)
        return user, str(ObtainSerializer.get_token(user).access_token)

    def revoke(self, user: Any, change: str) -> float:
        """Take the right away. Return the time of the commit."""
        from django.db import transaction

        from realtime.models import Membership

        committed: list[float] = []
        with transaction.atomic():
            # The first of the callbacks that run after the commit.
            transaction.on_commit(lambda: committed.append(time.monotonic()))
            if change == "membership deleted":
                Membership.objects.get(user=user).delete()
            elif change == "group taken away":
                user.groups.remove(self.group)
            else:
                user.is_active = False
                user.save()
        return committed[0]

    async def speak(self, stopped: asyncio.Event) -> int:
        """Publish at the rate until `stopped`. Return how many messages were sent."""
        from realtime import apublish

        begun, sent = time.monotonic(), 0
        while not stopped.is_set():
            await apublish(ROOM, {"number": sent, "text": "x" * 64})
            sent += 1
            ahead = begun + sent / self.rate - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)
        return sent

    async def run(
        self, revocations: int, say: Callable[[str], None]
    ) -> tuple[list[Outcome], float]:
        waiting = [
            (CHANGES[number % 3], await self.enter(CHANGES[number % 3]))
            for number in range(self.members)
        ]
        stopped, begun = asyncio.Event(), time.monotonic()
        speaking = asyncio.create_task(self.speak(stopped))
        outcomes = []
        for number in range(revocations):
            change, member = waiting.pop(0)
            outcomes.append(await self._revoke_and_watch(change, member))
            waiting.append((change, await self.enter(change)))
            if (number + 1) % 20 == 0:
                say(f"{number + 1} of {revocations} revocations")
        stopped.set()
        rate = await speaking / (time.monotonic() - begun)
        for _, member in waiting:
            await member.connection.close()
        return outcomes, rate

    async def _revoke_and_watch(self, change: str, member: Member) -> Outcome:
        while len(member.messages) < 3:  # the member receives what is published
            await asyncio.sleep(0.005)
        committed_at = await asyncio.to_thread(self.revoke, member.user, change)
        async with asyncio.timeout(10):
            await member.ended.wait()
        await asyncio.sleep(SETTLE_SECONDS)
        last = max((at for at in member.messages), default=committed_at)
        came_after = sum(at > member.ended_at for at in member.messages)
        await member.connection.close()
        if member.reading is not None:
            await member.reading
        told = member.ended_at - committed_at
        return Outcome(change, max(0.0, last - committed_at), told, came_after)


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def figures(outcomes: list[Outcome], rate: float) -> dict[str, Any]:
    table: dict[str, Any] = {"revocations": len(outcomes), "messages a second": round(rate)}
    for name, values in (
        ("last message, ms after the commit", [outcome.last_message for outcome in outcomes]),
        ("end told, ms after the commit", [outcome.told for outcome in outcomes]),
    ):
        table[name] = {
            "p50": round(statistics.median(values) * 1000, 1),
            "p99": round(percentile(values, 0.99) * 1000, 1),
            "max": round(max(values) * 1000, 1),
        }
    for change in CHANGES:
        of_change = [outcome.last_message for outcome in outcomes if outcome.change == change]
        if of_change:
            p99 = percentile(of_change, 0.99)
            table[f"  {change}, p99 of the last message, ms"] = round(p99 * 1000, 1)
    table["messages after the end was told"] = sum(outcome.came_after for outcome in outcomes)
    return table


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.revocation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--revocations", type=int, default=200)
    parser.add_argument("--rate", type=float, default=200, help="messages a second")
    parser.add_argument("--members", type=int, default=20, help="in the room at any time")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="revocation-") as folder:
        say("starting Redis, Daphne and uvicorn")
        measurement = Measurement(Path(folder), rate=options.rate, members=options.members)
        try:
            measurement.start()
            outcomes, rate = asyncio.run(measurement.run(options.revocations, say))
        finally:
            measurement.stop()
    found = figures(outcomes, rate)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            shown = (
                "   ".join(f"{key} {number:g}" for key, number in value.items())
                if isinstance(value, dict)
                else f"{value:g}"
            )
            print(f"{name:<58}{shown}")
    missed = found["last message, ms after the commit"]["p99"] >= TARGET_MS
    return 1 if missed or found["messages after the end was told"] else 0


if __name__ == "__main__":
    sys.exit(main())

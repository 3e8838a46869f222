"""One run of the check: servers, clients, and the failures that are caused."""

from __future__ import annotations

import asyncio
import io
import os
import random
import sys
import time
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async

from tests.delivery import neighbours
from tests.delivery.clients import (
    PAUSE_SECONDS,
    ROOM,
    Client,
    Member,
    ServerPublisher,
    SocketPublisher,
    TutorialMember,
    TutorialPublisher,
)
from tests.delivery.ledger import Ledger
from tests.support import processes

SERVERS = ("daphne", "uvicorn-fast")
SETTLE_SECONDS = 30
SERVER_DIES_AT = 0.35
REDIS_RESTARTS_AT = 0.7
REDIS_DOWN_SECONDS = 1.0
AWAY_SECONDS = 4.0
SOME_LATER_SECONDS = 0.6

Publisher = SocketPublisher | ServerPublisher


@dataclass(frozen=True)
class Plan:
    """The size of a run: messages, members, rate and failures."""

    messages: int
    members: int
    rate: float
    cut_every_seconds: float
    seed: int
    peer: str = "realtime"
    neighbours: bool = False
    """Whether bad neighbours disturb the members."""

    @property
    def is_ours(self) -> bool:
        return self.peer == "realtime"


class Site:
    """Redis with persistence, and two servers. Each can be killed and started again."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.redis_port = processes.free_port()
        self.redis = processes.start_redis(folder, self.redis_port, durable=True)
        ours = plan.is_ours
        self._application = "config.asgi:application" if ours else "tests.delivery.tutorial:"
        self._application += "" if ours else "application"
        self.env = {
            "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "REDIS_PREFIX": f"delivery-{uuid.uuid4().hex[:8]}",
            "DJANGO_SETTINGS_MODULE": _settings(plan),
            "DJANGO_DEBUG": "1",
            "JWT_SIGNING_KEY": processes.SIGNING_KEY,
        }
        self.servers: dict[str, processes.Site] = {}
        self._has_neighbours = plan.neighbours

    def start(self) -> None:
        os.environ.update(self.env)
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        call_command("demo", stdout=io.StringIO())
        from realtime.models import Room

        Room.objects.create(name=ROOM, access=Room.Access.AUTHENTICATED, history_size=1_000)
        if self._has_neighbours:
            neighbours.create_rows()
        for name in SERVERS:
            self.start_server(name)

    def start_server(self, name: str) -> None:
        port = self.servers[name].port if name in self.servers else 0
        self.servers[name] = processes.start_site(
            name, self.folder, self.env, port, self._application
        )

    def restart_redis(self) -> None:
        self.redis.stop()
        time.sleep(REDIS_DOWN_SECONDS)
        self.redis = processes.start_redis(self.folder, self.redis_port, durable=True)

    def stop(self) -> None:
        for server in self.servers.values():
            server.process.kill()
        self.redis.stop()


def _settings(plan: Plan) -> str:
    if not plan.is_ours:
        return "tests.settings.tutorial"
    return "tests.settings.neighbours" if plan.neighbours else "tests.settings.base"


async def run(plan: Plan, folder: Path) -> Ledger:
    """Run the plan, and return what happened."""
    dice = random.Random(plan.seed)
    ledger = Ledger()
    progress = Progress(plan, ledger)
    site = await asyncio.to_thread(Site, folder, plan)
    background: list[asyncio.Task[None]] = []

    def begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        background.append(asyncio.create_task(work))
        return background[-1]

    try:
        progress.say("starting Redis, Daphne and uvicorn")
        await asyncio.to_thread(site.start)
        members, publishers = await _clients(plan, site, ledger, dice)
        for client in (*members, *publishers):
            if isinstance(client, Client):
                begin(client.run())
                await client.ready.wait()
        begin(progress.show())
        chaos = begin(_cut(plan, members, dice))
        if plan.neighbours:
            bad = neighbours.Neighbours(
                lambda: list(site.servers.values()),
                site.env["REDIS_URL"],
                site.env["REDIS_PREFIX"],
                ledger,
            )
            for work in bad.works():
                begin(bad.keep_on(work))
        accidents = begin(_accidents(plan, site, ledger, progress))
        share = plan.messages // len(publishers)
        async with asyncio.timeout(plan.messages / plan.rate * 3 + 120):
            await asyncio.gather(
                *(_publish(p, share, plan.rate / len(publishers), ledger) for p in publishers)
            )
            await accidents
        chaos.cancel()
        progress.say("waiting until all members are back and have everything")
        await _settle(plan, members)
        _raise_failures(background)
        ledger.tracebacks = neighbours.tracebacks(list(site.servers.values()))
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await asyncio.to_thread(site.stop)
    return ledger


async def _clients(
    plan: Plan, site: Site, ledger: Ledger, dice: random.Random
) -> tuple[list[Member], list[Publisher]]:
    urls = [server.ws_url for server in site.servers.values()]
    token = (
        await asyncio.to_thread(site.servers["uvicorn-fast"].token, "alice") if plan.is_ours else ""
    )
    headers = {"Authorization": f"Bearer {token}"} if token else {"Origin": "http://localhost"}
    ours = (urls, headers, ledger, dice)
    if not plan.is_ours:
        return (
            [TutorialMember(*ours) for _ in range(plan.members)],
            [TutorialPublisher(*ours, name=f"socket-{n}") for n in range(4)],
        )
    from realtime import apublish, publish

    async def from_coroutine(data: Any, key: str) -> None:
        await apublish(ROOM, data, idempotency_key=key)

    async def from_thread(data: Any, key: str) -> None:
        await sync_to_async(publish)(ROOM, data, idempotency_key=key)

    return (
        [Member(*ours) for _ in range(plan.members)],
        [
            SocketPublisher(*ours, name="socket-0"),
            SocketPublisher(*ours, name="socket-1"),
            ServerPublisher("coroutine", from_coroutine),
            ServerPublisher("thread", from_thread),
        ],
    )


async def _publish(publisher: Publisher, count: int, rate: float, ledger: Ledger) -> None:
    acknowledged = ledger.acknowledged[publisher.name] = []
    next_at = time.monotonic()
    for number in range(1, count + 1):
        next_at = max(next_at + 1 / rate, time.monotonic() - 1)
        await asyncio.sleep(next_at - time.monotonic())
        ledger.sent += 1
        if await publisher.publish(number):
            acknowledged.append(number)
        elif isinstance(publisher, SocketPublisher) and not publisher.ready.is_set():
            await asyncio.sleep(PAUSE_SECONDS)


async def _cut(plan: Plan, members: list[Member], dice: random.Random) -> None:
    """Cut connections of members: most for a moment, some for too long to recover."""
    while True:
        await asyncio.sleep(dice.uniform(0.5, 1.5) * plan.cut_every_seconds)
        away = AWAY_SECONDS if dice.random() < 0.1 else dice.choice((0, SOME_LATER_SECONDS))
        dice.choice(members).cut(away)


async def _accidents(plan: Plan, site: Site, ledger: Ledger, progress: Progress) -> None:
    while ledger.sent < SERVER_DIES_AT * plan.messages:
        await asyncio.sleep(0.02)
    name = random.Random(plan.seed).choice(SERVERS)
    progress.say(f"killing {name}, and starting it again")
    await asyncio.to_thread(site.servers[name].process.kill)
    await asyncio.to_thread(site.start_server, name)
    while ledger.sent < REDIS_RESTARTS_AT * plan.messages:
        await asyncio.sleep(0.02)
    progress.say("restarting Redis")
    await asyncio.to_thread(site.restart_redis)


async def _settle(plan: Plan, members: list[Member]) -> None:
    """Wait until all members are back and nothing has arrived for a while."""
    deadline = time.monotonic() + SETTLE_SECONDS
    quiet_since, seen = time.monotonic(), -1
    while time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        now_seen = sum(len(member.journal.seen) for member in members)
        if now_seen != seen or not all(member.ready.is_set() for member in members):
            quiet_since, seen = time.monotonic(), now_seen
        if plan.is_ours and len({member.place for member in members}) > 1:
            continue
        if time.monotonic() - quiet_since > 2:
            return


def _raise_failures(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled():
            task.result()


class Progress:
    """Prints the progress of the run on stderr."""

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        self._plan, self._ledger = plan, ledger

    def say(self, what: str) -> None:
        print(f"  {what}", file=sys.stderr, flush=True)

    async def show(self) -> None:
        while self._ledger.sent < self._plan.messages:
            await asyncio.sleep(2)
            ledger = self._ledger
            self.say(
                f"{ledger.sent:,} of {self._plan.messages:,} sent, {ledger.delivered:,} delivered"
            )

"""One run of the check: servers, clients, and the failures that are caused."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async

from tests.delivery import logs, neighbours
from tests.delivery.accidents import Accidents, Fragile
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
from tests.delivery.site import Plan, Site
from tests.delivery.socketio_members import SocketIOMember
from tests.delivery.streams import StreamMember

SETTLE_SECONDS = 30
AWAY_SECONDS = 4.0
SOME_LATER_SECONDS = 0.6

MEMBERS: list[type[Member]] = [Member, SocketIOMember, Member, StreamMember]
"""The kinds of clients, in turn."""

Publisher = SocketPublisher | ServerPublisher


async def run(plan: Plan, folder: Path) -> Ledger:
    """Run the plan, and return what happened."""
    dice = random.Random(plan.seed)
    ledger = Ledger()
    progress = Progress(plan, ledger)
    site = await asyncio.to_thread(Site, folder, plan)
    background: list[asyncio.Task[None]] = []

    bad: neighbours.Neighbours | None = None

    def prepare(site: Site) -> None:
        nonlocal bad
        if plan.neighbours:
            bad = neighbours.Neighbours(site, ledger, plan.seed)
            bad.create_rows()

    def begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        background.append(asyncio.create_task(work))
        return background[-1]

    try:
        progress.say("starting Redis, Daphne and uvicorn")
        await asyncio.to_thread(site.start, prepare)
        members, publishers = await _clients(plan, site, ledger, dice)
        for client in (*members, *publishers):
            if isinstance(client, Client):
                begin(client.run())
                await client.ready.wait()
        begin(progress.show())
        chaos = begin(_cut(plan, members, dice))
        fragile = None
        if bad is not None:
            fragile = _fragile(members[0], site, ledger)
            for client in (*fragile.members, fragile.publisher):
                begin(client.run())
                await client.ready.wait()
            begin(fragile.publish())
            for work in bad.works():
                begin(bad.keep_on(work))
        accidents = begin(Accidents(plan, site, ledger, progress.say, bad, fragile).run())
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
        texts = [server.process.log.read_text(errors="replace") for server in site.servers.values()]
        ledger.tracebacks, ledger.repeated = logs.tracebacks(texts), logs.repeated(texts)
        for cause in logs.causes(texts):
            progress.say(f"in the logs: {cause}")
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
        [MEMBERS[number % len(MEMBERS)](*ours) for number in range(plan.members)],
        [
            SocketPublisher(*ours, name="socket-0"),
            SocketPublisher(*ours, name="socket-1"),
            ServerPublisher("coroutine", from_coroutine),
            ServerPublisher("thread", from_thread),
        ],
    )


def _fragile(like: Member, site: Site, ledger: Ledger) -> Fragile:
    """Members, as `like`, and a publisher, in the room on the Redis that dies."""
    ledger.fragile = Ledger()
    args = (like.urls, like.headers, ledger.fragile, like.dice, site.fragile_room)
    return Fragile([Member(*args) for _ in range(3)], SocketPublisher(*args, name="fragile"))


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

"""What goes wrong in a run: servers and Redis are killed, hang, and are started again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from tests.delivery.clients import Member, SocketPublisher
from tests.delivery.ledger import Ledger
from tests.delivery.neighbours import Neighbours
from tests.delivery.site import SERVERS, Plan, Site

REDIS_DIES_AT = 0.1
SERVER_DIES_AT = 0.35
REDIS_IS_BACK_AT = 0.55
REDIS_RESTARTS_AT = 0.75
BACK_SECONDS = 60.0


class Accidents:
    """All accidents of a run, in `Plan.rounds` rounds."""

    def __init__(
        self,
        plan: Plan,
        site: Site,
        ledger: Ledger,
        say: Callable[[str], None],
        bad: Neighbours | None = None,
        fragile: Fragile | None = None,
    ) -> None:
        self._plan, self._site, self._ledger, self._say = plan, site, ledger, say
        self._bad, self._fragile = bad, fragile
        self._dice = random.Random(plan.seed)

    async def run(self) -> None:
        for number in range(self._plan.rounds):
            hangs = number % 2 == 1
            if self._bad is not None:
                await self._until(number, REDIS_DIES_AT)
                async with self._bad.hostages() as hostages:
                    await self._let_redis_die(hangs)
                    await hostages.revoke()
            await self._until(number, SERVER_DIES_AT)
            await self._kill_server()
            if self._fragile is not None:
                await self._until(number, REDIS_IS_BACK_AT)
                await self._bring_redis_back(self._fragile, hangs)
            await self._until(number, REDIS_RESTARTS_AT)
            await self._note("restart Redis", self._site.restart_redis)

    async def _until(self, number: int, share: float) -> None:
        wanted = (number + share) * self._plan.messages / self._plan.rounds
        while self._ledger.sent < wanted:
            await asyncio.sleep(0.02)

    async def _let_redis_die(self, hangs: bool) -> None:
        if hangs:
            await self._note("hang one Redis of two", self._site.hang_other_redis)
        else:
            await self._note("kill one Redis of two", self._site.kill_other_redis)

    async def _kill_server(self) -> None:
        name = self._dice.choice(SERVERS)

        def restart() -> None:
            self._site.servers[name].process.kill()
            self._site.start_server(name)

        await self._note(f"kill {name}", restart)

    async def _bring_redis_back(self, fragile: Fragile, hangs: bool) -> None:
        back = self._site.wake_other_redis if hangs else self._site.start_other_redis
        await asyncio.to_thread(back)
        self._say("one Redis of two is back")
        async with asyncio.timeout(BACK_SECONDS):
            self._ledger.back_after.append(await fragile.is_back())

    async def _note(self, what: str, work: Callable[[], None]) -> None:
        self._say(what)
        self._ledger.neighbours[what] += 1
        await asyncio.to_thread(work)


class Fragile:
    """Members of a room on the Redis that dies: they get temporary errors, and then all."""

    def __init__(self, members: list[Member], publisher: SocketPublisher) -> None:
        self.members, self.publisher = members, publisher
        self.ledger = publisher.ledger

    async def publish(self) -> None:
        """Publish ten messages a second."""
        acknowledged = self.ledger.acknowledged[self.publisher.name] = []
        number = 0
        while True:
            number += 1
            self.ledger.sent += 1
            if await self.publisher.publish(number):
                acknowledged.append(number)
            await asyncio.sleep(0.1)

    async def is_back(self) -> float:
        """Wait until all members have received a new message. Return the seconds it took."""
        began_at = time.monotonic()
        acknowledged = self.ledger.acknowledged[self.publisher.name]
        newest = self.ledger.sent
        while not acknowledged or acknowledged[-1] <= newest or not self._is_heard(newest):
            await asyncio.sleep(0.02)
        return time.monotonic() - began_at

    def _is_heard(self, newest: int) -> bool:
        return all(
            member.journal.seen and member.journal.seen[-1][0][1] > newest
            for member in self.members
        )

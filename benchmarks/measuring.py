"""Measures regimes with the clients of the load generator."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

from .accounting import Meter, resident_bytes
from .connections import Address, Connection, Listener, close_all, connect_all
from .dialects import DIALECTS, Dialect
from .echoes import Echoes
from .flights import Flight, Lane
from .joins import Entries, Visitor
from .outcomes import Outcome, figures_between, latency
from .regimes import WARM_SECONDS, Kind, Regime

WATCHED = 20
"""Members for whom the latency of every message is measured."""
WARM_CONNECTIONS = 50
WARM_VISITS = 10
"""Visits to each room in a warm measurement. They are fast, so more of them are needed."""
SETTLE_SECONDS = 1.0
PEAK_SECONDS = 2.0


@dataclass
class Clients:
    """The clients that are connected to the servers of one peer."""

    dialect: Dialect
    ports: list[int]
    tokens: list[str]
    meter: Meter
    connections: list[Connection] = field(default_factory=list)
    _layout: object = None
    _used: int = 0

    async def measure(self, regime: Regime, messages: int = 0) -> Outcome:
        """Measure a regime. If `messages` is not 0, a flight ends after this many."""
        try:
            return await self._measure(regime, messages)
        except OSError as failure:  # includes TimeoutError
            await self.close()
            return Outcome({}, [f"not all clients could connect: {failure!r}"])

    async def _measure(self, regime: Regime, messages: int) -> Outcome:
        if regime.kind is Kind.STORM:
            return await self._storm(regime)
        if regime.kind is Kind.IDLE:
            return await self._idle(regime)
        if regime.kind is Kind.JOINS:
            return await self._join(regime)
        if regime.kind is Kind.ENTRIES:
            return await self._enter(regime)
        await self._connect(regime)
        if regime.kind is Kind.ECHO:
            return await self._echo(regime)
        if regime.kind is Kind.PACE:
            return await self._pace(regime)
        return await self._fly(regime, messages)

    async def close(self) -> None:
        if self.connections:
            await close_all(self.connections)
        self.connections, self._layout = [], None

    def _dialect(self, regime: Regime) -> Dialect:
        return DIALECTS[regime.dialect] if regime.dialect else self.dialect

    def _addresses(self, regime: Regime) -> list[Address]:
        """The addresses of all members. Users are not used twice, as long as there are enough."""
        addresses = []
        for room in regime.room_names():
            for _ in range(regime.members):
                token = self.tokens[self._used % len(self.tokens)] if self.tokens else ""
                addresses.append(Address(self.ports[self._used % len(self.ports)], room, token))
                self._used += 1
        return addresses

    async def _connect(self, regime: Regime) -> None:
        if self._layout == regime.layout:
            return
        await self.close()
        self.connections = await connect_all(self._dialect(regime), self._addresses(regime))
        self._layout = regime.layout

    def _lanes(self, regime: Regime, publishers: int) -> list[Lane]:
        size = regime.members
        rooms = (self.connections[at : at + size] for at in range(0, len(self.connections), size))
        return [Lane(members, publishers) for members in rooms]

    async def _fly(self, regime: Regime, messages: int = 0) -> Outcome:
        flight = Flight(
            self._lanes(regime, publishers=regime.window),
            window=regime.window,
            size=regime.size,
            messages=messages,
        )
        before, sent, delivered = self.meter.read(), 0, 0
        flight.start()
        if messages:
            await flight.land()
        else:
            await asyncio.sleep(WARM_SECONDS)
            before, sent, delivered = self.meter.read(), flight.sent, flight.deliveries
            await asyncio.sleep(regime.seconds)
        after = self.meter.read()
        sent, delivered = flight.sent - sent, flight.deliveries - delivered
        flight.stop()
        await flight.land()
        figures = figures_between(before, after, units=delivered, messages=sent)
        latencies = [
            arrived_at - sent_at
            for lane in flight.lanes
            for sent_at, arrived_at in zip(lane.sent_at, lane.arrived_at, strict=False)
            if sent_at >= before.at
        ]
        return Outcome(figures | latency(latencies), flight.problems())

    async def _pace(self, regime: Regime) -> Outcome:
        """Send at the rate of the regime, else at half of the peak rate, which is measured just
        before on the same server."""
        rate = regime.rate
        if not rate:
            peak = await self._fly(replace(regime, window=16, seconds=PEAK_SECONDS))
            if peak.problems:
                return peak
            rate = peak.figures["messages"] / peak.figures["seconds"] / 2
        (lane,) = self._lanes(regime, publishers=1)
        flight = Flight([lane], window=0, size=regime.size)
        watched = _watch(lane)
        before, begun = self.meter.read(), time.perf_counter()
        number = 0
        while (due := begun + number / rate) < begun + regime.seconds:
            await asyncio.sleep(due - time.perf_counter())
            # The latency counts from when it was due: a late generator must not hide latency.
            flight.send(due)
            number += 1
        after = self.meter.read()
        flight.stop()
        await flight.land()
        figures = figures_between(before, after, units=flight.deliveries, messages=number)
        latencies = [
            at - lane.sent_at[place]
            for at, first, last in watched
            for place in range(first, min(last, number))
        ]
        return Outcome(figures | latency(latencies), flight.problems())

    async def _echo(self, regime: Regime) -> Outcome:
        echoes = Echoes(self.connections[0], regime.size)
        echoes.ask()
        await asyncio.sleep(WARM_SECONDS)
        before, warm = self.meter.read(), len(echoes.latencies)
        await asyncio.sleep(regime.seconds)
        after, latencies = self.meter.read(), echoes.latencies[warm:]
        problems = [] if await echoes.stop() else ["an echo did not come"]
        figures = figures_between(before, after, units=len(latencies), messages=len(latencies))
        return Outcome(figures | latency(latencies), problems)

    async def _storm(self, regime: Regime) -> Outcome:
        await self.close()
        dialect = self._dialect(regime)
        # Warm up the server with some connections.
        self.connections = await connect_all(
            dialect, self._addresses(replace(regime, members=WARM_CONNECTIONS))
        )
        await self.close()
        await asyncio.sleep(regime.settle_seconds)
        everybody = self._addresses(regime)
        before = self.meter.read()
        self.connections = await connect_all(dialect, everybody, at_once=len(everybody))
        after = self.meter.read()
        figures = figures_between(before, after, units=regime.members, messages=0)
        await self.close()
        return Outcome(figures)

    async def _join(self, regime: Regime) -> Outcome:
        await self.close()
        names = regime.room_names()
        self.connections = await connect_all(DIALECTS["lobby"], self._addresses(regime)[:2])
        first, visitor = map(Visitor, self.connections)
        # The first visitor pays the one-time cost of a room, which is not measured here.
        await first.visit(names)
        visited = names
        if regime.is_warm:
            await visitor.visit(names)
            visited = names * WARM_VISITS
        asked = await visitor.queries()
        before = self.meter.read()
        joined = await visitor.visit(visited)
        after = self.meter.read()
        count = len(visited)
        figures = figures_between(before, after, units=count, messages=0)
        figures["queries"] = (await visitor.queries() - asked) / count
        problems = [] if joined == count else [f"{joined} of {count} joins were answered"]
        await self.close()
        return Outcome(figures, problems)

    async def _enter(self, regime: Regime) -> Outcome:
        await self.close()
        addresses = self._addresses(regime)
        there, late = addresses[regime.newcomers :], addresses[: regime.newcomers]
        self.connections = await connect_all(self._dialect(regime), there)
        newcomers = await connect_all(DIALECTS["lobby"], late)
        entries = Entries(self.connections, newcomers, is_watched=regime.dialect == "watching")
        self.connections = [*self.connections, *newcomers]
        await entries.prepare()
        before = self.meter.read()
        await entries.run()
        after = self.meter.read()
        figures = figures_between(before, after, units=len(newcomers), messages=0)
        problems = await entries.problems()
        await self.close()
        return Outcome(figures, problems)

    async def _idle(self, regime: Regime) -> Outcome:
        await self.close()
        addresses = self._addresses(regime)
        # Memory that a server allocates once, with its first connections, is not counted.
        self.connections = await connect_all(self.dialect, addresses[:WARM_CONNECTIONS])
        await asyncio.sleep(SETTLE_SECONDS)
        empty = resident_bytes(self.meter.servers)
        self.connections += await connect_all(self.dialect, addresses[WARM_CONNECTIONS:])
        await asyncio.sleep(SETTLE_SECONDS)
        full = resident_bytes(self.meter.servers)
        before = self.meter.read()
        await asyncio.sleep(regime.seconds)
        after = self.meter.read()
        count = len(self.connections)
        lost = sum(connection.lost.done() for connection in self.connections)
        pings = sum(connection.answered_pings for connection in self.connections)
        figures = {
            **figures_between(before, after, units=count, messages=0),
            "kib": (full - empty) / 1024 / (count - WARM_CONNECTIONS),
            "mib": full / 1024 / 1024,
            "pings": pings,
        }
        del figures["rate"], figures["cpu_us"]
        await self.close()
        return Outcome(figures, [f"{lost} of {count:,} connections were lost"] if lost else [])


def _watch(lane: Lane) -> list[tuple[float, int, int]]:
    """Record receipts of some members: the time, the first message, and the last plus one."""
    seen: list[tuple[float, int, int]] = []

    def watch(inner: Listener) -> Listener:
        def on_messages(connection: Connection, count: int) -> None:
            first = connection.received
            seen.append((time.perf_counter(), first, first + count))
            inner(connection, count)

        return on_messages

    for member in lane.members[:: max(1, len(lane.members) // WATCHED)]:
        assert member.on_messages is not None
        member.on_messages = watch(member.on_messages)
    return seen

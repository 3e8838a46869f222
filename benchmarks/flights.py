"""Keeps a fixed number of messages in flight: the next is sent when all members have one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import pairwise

from . import wire
from .connections import Connection, Listener

STALLED_SECONDS = 5
SAMPLES = 3


class Lane:
    """One room: the messages sent to it, and how many each member has received."""

    def __init__(self, members: Sequence[Connection], publishers: int = 1) -> None:
        self.members = members
        self.sent_at: list[float] = []
        self.arrived_at: list[float] = []
        """When the last member received each message."""
        self.surplus = 0
        self._publishers = members[:: max(1, len(members) // publishers)]
        # At index n: how many members have received exactly n messages.
        self._members_at = [len(members)]

    @property
    def sent(self) -> int:
        return len(self.sent_at)

    @property
    def room(self) -> str:
        return self.members[0].address.room

    def send(self, size: int, at: float) -> None:
        number = self.sent
        publisher = self._publishers[number % len(self._publishers)]
        self.sent_at.append(at)
        self._members_at.append(0)
        text = wire.text(number, size)
        publisher.say(publisher.dialect.publish(self.room, text, number))

    def take(self, connection: Connection, count: int) -> int:
        """A member received `count` messages. Return how many messages all members have now got."""
        before = connection.received
        now = connection.received = before + count
        if now > self.sent:
            self.surplus += now - self.sent
            return 0
        members_at = self._members_at
        members_at[before] -= 1
        members_at[now] += 1
        arrived = len(self.arrived_at)
        if before > arrived or members_at[arrived]:
            return 0  # another member has not received the next one
        at = time.perf_counter()
        while len(self.arrived_at) < self.sent and not members_at[len(self.arrived_at)]:
            self.arrived_at.append(at)
        return len(self.arrived_at) - arrived


class Flight:
    """Keeps `window` messages in flight, over all lanes in turn, until `stop`.

    With `messages`, it stops after this many. With a window of 0, the caller calls `send` at its
    own rate.
    """

    def __init__(self, lanes: Sequence[Lane], *, window: int, size: int, messages: int = 0) -> None:
        self.lanes = lanes
        self._window = window
        self._size = size
        self._messages = messages
        self._turn = 0
        self._is_stopping = False
        self._landed = asyncio.Event()
        for lane in lanes:
            for number, member in enumerate(lane.members):
                member.received = 0
                member.on_messages = self._listener(lane)
                member.sample = bytearray() if number == 0 else None

    @property
    def sent(self) -> int:
        return sum(lane.sent for lane in self.lanes)

    @property
    def deliveries(self) -> int:
        return sum(member.received for lane in self.lanes for member in lane.members)

    def start(self) -> None:
        for _ in range(self._window):
            self.send()

    def send(self, at: float | None = None) -> None:
        """Send one message. Its latency counts from `at`, by default from now."""
        if self._is_stopping or (self._messages and self._turn >= self._messages):
            self._look()
            return
        lane = self.lanes[self._turn % len(self.lanes)]
        self._turn += 1
        lane.send(self._size, time.perf_counter() if at is None else at)

    def stop(self) -> None:
        self._is_stopping = True
        self._look()

    async def land(self) -> bool:
        """Wait until all members have all messages. Return False if deliveries stop before that."""
        last = -1
        while not self._landed.is_set():
            if last == self.deliveries:
                return False
            last = self.deliveries
            try:
                async with asyncio.timeout(STALLED_SECONDS):
                    await self._landed.wait()
            except TimeoutError:
                continue
        return True

    def problems(self) -> list[str]:
        """Messages that did not arrive exactly once, or in order if the server numbers them."""
        found = []
        expected = sum(lane.sent * len(lane.members) for lane in self.lanes)
        members = [(lane, member) for lane in self.lanes for member in lane.members]
        if any(member.received != lane.sent for lane, member in members):
            found.append(f"{self.deliveries:,} of {expected:,} deliveries came")
        if lost := sum(member.lost.done() for _, member in members):
            found.append(f"{lost} connections were lost")
        for lane in self.lanes[:SAMPLES]:
            found += _problems_of_sample(lane)
        return found

    def _listener(self, lane: Lane) -> Listener:
        def on_messages(connection: Connection, count: int) -> None:
            arrived = lane.take(connection, count)
            if self._window:
                for _ in range(arrived):
                    self.send()
            elif arrived and self._is_stopping:
                self._look()

        return on_messages

    def _look(self) -> None:
        if all(len(lane.arrived_at) == lane.sent for lane in self.lanes):
            self._landed.set()


def _problems_of_sample(lane: Lane) -> list[str]:
    """Check the bytes that one member received, as far as they were kept."""
    member = lane.members[0]
    sample = bytes(member.sample or b"")
    numbers = wire.numbers(sample)
    found = []
    if len(numbers) != len(set(numbers)):
        found.append("a member got messages twice")
    if member.dialect.offset is not None and lane.sent:
        # The sample may end within an offset, or between a message and its offset.
        offsets = [int(offset) for offset in member.dialect.offset.findall(sample)][:-1]
        if len(numbers) - len(offsets) > 2 or any(b - a != 1 for a, b in pairwise(offsets)):
            found.append("a member got messages out of order")
    return found

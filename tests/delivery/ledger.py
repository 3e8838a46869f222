"""What was published and what every member saw, and what follows from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

Message = tuple[str, int]
"""A publisher's name and its number for the message."""


class Place(NamedTuple):
    """Where a message stands in its room; all zero where the server doesn't number messages."""

    epoch: str
    offset: int


class Gap(NamedTuple):
    """What a member was told that it can't have: all between two places."""

    after: Place | None
    upto: Place

    def covers(self, place: Place) -> bool:
        if self.after is not None and place.epoch == self.after.epoch == self.upto.epoch:
            return self.after.offset < place.offset <= self.upto.offset
        if self.after is not None and place.epoch == self.after.epoch:
            return place.offset > self.after.offset
        return place.epoch == self.upto.epoch and place.offset <= self.upto.offset


@dataclass
class Journal:
    """What one member saw, in the order in which it saw it, and what it was told."""

    seen: list[tuple[Message, Place]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


@dataclass
class Ledger:
    """Everything that happened in one run."""

    journals: list[Journal] = field(default_factory=list)
    sent: int = 0
    acknowledged: dict[str, list[int]] = field(default_factory=dict)
    """By publisher, in the order in which the server said that it has them."""
    recoveries: Counter[str] = field(default_factory=Counter)

    @property
    def delivered(self) -> int:
        return sum(len(journal.seen) for journal in self.journals)


@dataclass
class Verdict:
    """Counts of deliveries, but for `vanished`: messages that were acknowledged and nobody saw."""

    lost: int = 0
    told: int = 0
    vanished: int = 0
    out_of_order: int = 0
    doubled: int = 0

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.vanished or self.out_of_order or self.doubled)


def judge(ledger: Ledger, *, numbered: bool) -> Verdict:
    """`numbered`: the server numbers messages, so that all members must see one and the same order;
    otherwise only the messages of each publisher have to stay in order."""
    verdict = Verdict()
    places: dict[Message, Place] = {}
    messages: dict[Place, Message] = {}
    for journal in ledger.journals:
        for message, place in journal.seen:
            if places.setdefault(message, place) != place:
                verdict.doubled += 1
            if numbered and messages.setdefault(place, message) != message:
                verdict.out_of_order += 1
    for journal in ledger.journals:
        _judge_member(journal, places, numbered, verdict)
    for publisher, numbers in ledger.acknowledged.items():
        verdict.vanished += sum((publisher, number) not in places for number in numbers)
        if numbered:
            stood = [places[publisher, n] for n in numbers if (publisher, n) in places]
            verdict.out_of_order += sum(
                one.epoch == two.epoch and one.offset > two.offset for one, two in pairwise(stood)
            )
    return verdict


def _judge_member(
    journal: Journal, places: dict[Message, Place], numbered: bool, verdict: Verdict
) -> None:
    seen = set()
    last: dict[str, int] = {}
    for message, place in journal.seen:
        verdict.doubled += message in seen
        seen.add(message)
        line, number = place if numbered else message
        verdict.out_of_order += number < last.get(line, 0)
        last[line] = number
    for message, place in places.items():
        if message not in seen:
            if any(gap.covers(place) for gap in journal.gaps):
                verdict.told += 1
            else:
                verdict.lost += 1

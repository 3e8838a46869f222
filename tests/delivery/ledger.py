"""Records published and received messages, and counts what was lost or out of order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

Message = tuple[str, int]
"""The publisher's name, and its number of the message."""


class Place(NamedTuple):
    """The position of a message in its room; empty if the server does not number messages."""

    epoch: str
    offset: int


class Gap(NamedTuple):
    """Messages that a member was told it missed: all between two places."""

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
    """The messages that one member received, in order, and the gaps it was told of."""

    seen: list[tuple[Message, Place]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


@dataclass
class Ledger:
    """The record of one run."""

    journals: list[Journal] = field(default_factory=list)
    sent: int = 0
    acknowledged: dict[str, list[int]] = field(default_factory=dict)
    """Numbers by publisher, in the order of their acknowledgements."""
    recoveries: Counter[str] = field(default_factory=Counter)
    neighbours: Counter[str] = field(default_factory=Counter)
    """How often each bad neighbour did what it does."""
    revoked_after: list[float] = field(default_factory=list)
    """Seconds from the deletion of a membership to the unsubscribe push."""
    late: list[str] = field(default_factory=list)
    """The revocations that took more than a second."""
    not_revoked: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    """The errors that members and publishers got: temporary and final ones."""
    back_after: list[float] = field(default_factory=list)
    """Seconds from the start of a Redis that was dead to the first message of a room on it."""
    tracebacks: int = 0
    """In the logs of the servers."""
    repeated: list[str] = field(default_factory=list)
    """Lines of the logs that came twice within a minute."""
    fragile: Ledger | None = None
    """The record of the room on the Redis that dies."""

    def note_refusal(self, error: dict[str, Any]) -> None:
        self.refusals["temporary" if error.get("temporary") else f"final {error['code']}"] += 1

    @property
    def delivered(self) -> int:
        return sum(len(journal.seen) for journal in self.journals)


@dataclass
class Verdict:
    """Counts of deliveries; `vanished` counts acknowledged messages that nobody received."""

    lost: int = 0
    told: int = 0
    vanished: int = 0
    out_of_order: int = 0
    doubled: int = 0

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.vanished or self.out_of_order or self.doubled)


def judge(ledger: Ledger, *, numbered: bool) -> Verdict:
    """Compare what was published with what was received.

    With `numbered`, the server numbers messages, and all members must receive them in one order.
    Otherwise, only the messages of each publisher must be in order.
    """
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
            stored = [places[publisher, n] for n in numbers if (publisher, n) in places]
            verdict.out_of_order += sum(
                one.epoch == two.epoch and one.offset > two.offset for one, two in pairwise(stored)
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

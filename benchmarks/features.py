"""`python -m benchmarks.features`: the cost of each feature, in CPU time of the server.

Each round measures every regime with the feature and without it, on uvicorn with the protocol
class of this project. The cost of a message is measured in rooms of one member, the publisher. The
cost of a delivery is the share of one member in a room of many. A row is invalid if a message did
not arrive exactly once.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import machine
from .comparisons import COMPARISONS, Comparison, Scale, regimes
from .costs import NOTES, Outcomes, as_json, cost, table
from .machine import Cores
from .peers import Peer
from .regimes import Regime
from .rig import Rig, end_children


def measure(
    folder: Path, cores: Cores, comparisons: Sequence[Comparison], scale: Scale, rounds: int
) -> Outcomes:
    known = regimes(scale)
    places = dict.fromkeys(place for each in comparisons for place in (each.on, each.off))
    batches: dict[str, tuple[Peer, list[Regime]]] = {}
    # Regimes that are compared on one server follow each other directly.
    order = list(known)
    for server, name in sorted(places, key=lambda place: order.index(place[1])):
        batches.setdefault(server.name, (server, []))[1].append(known[name])
    rig = Rig(folder, cores)
    rig.populate([known[name] for name in dict.fromkeys(name for _, name in places)])
    outcomes: Outcomes = {(server.name, name): [] for server, name in places}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for server, batch in _turned(batches.values(), number):
            for name, outcome in rig.measure(server, batch, scale.messages).items():
                outcomes[server.name, name].append(outcome)
    return outcomes


def _turned(
    batches: Iterable[tuple[Peer, list[Regime]]], number: int
) -> list[tuple[Peer, list[Regime]]]:
    """Reverse the order in every other round, so that the order does not affect the median."""
    step = -1 if number % 2 else 1
    return [(server, batch[::step]) for server, batch in [*batches][::step]]


def _others(outcomes: Outcomes) -> float:
    """The share of the server's core that unrelated processes used."""
    found = [outcome.figures for rounds in outcomes.values() for outcome in rounds]
    measured = [figures for figures in found if figures]
    seconds = sum(figures["seconds"] for figures in measured)
    used = sum(figures["others_core"] * figures["seconds"] for figures in measured)
    return used / seconds if seconds else 0.0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.features",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5, help="the table shows their medians")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    return options


def main() -> int:
    options, scale, begun, cores = parse(), Scale(), datetime.now(UTC), Cores.choose()
    conditions: dict[str, Any] = {
        "date": begun.isoformat(timespec="seconds"),
        **machine.describe(cores),
    }
    machine.raise_file_limit()
    # Child processes start on the generator's core; only servers are moved to another one.
    os.sched_setaffinity(0, [cores.generator])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="features-") as folder:
            outcomes = measure(Path(folder), cores, COMPARISONS, scale, options.rounds)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        end_children()
    conditions["others"] = f"used {_others(outcomes):.1%} of the server's core"
    costs = [cost(comparison, outcomes) for comparison in COMPARISONS]
    if options.json:
        print(as_json(costs, conditions))
    else:
        for name, value in conditions.items():
            shown = value if isinstance(value, str) else ", ".join(map(" ".join, value.items()))
            print(f"{name}: {shown}")
        print("", *table(costs), *NOTES, sep="\n")
        for regime in regimes(scale).values():
            if " " not in regime.name:
                print(f"{regime.name}: {regime.title}")
    say(f"took {(datetime.now(UTC) - begun).total_seconds():.0f} s")
    return 1 if any(each.problems for each in costs) else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m benchmarks.features`: what each feature costs, in CPU of the server.

Each is measured beside the same without it, in the same rounds, on uvicorn with the protocol class
of this project. A message goes to a room of one and comes back to its publisher; a delivery is the
share of one member in a room of many. What did not arrive exactly once makes a row invalid.
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
    # What is compared on one server is measured one after the other.
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
    """Every other round the other way around: who comes first has no advantage in the median."""
    step = -1 if number % 2 else 1
    return [(server, batch[::step]) for server, batch in [*batches][::step]]


def _others(outcomes: Outcomes) -> float:
    """What processes that are none of ours took of the server's core."""
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
    parser.add_argument("--rounds", type=int, default=5, help="the table has their medians")
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
    # What is started begins on the generator's core, and only servers leave it.
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

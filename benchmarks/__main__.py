"""`python -m benchmarks`: measure this project and its peers, side by side.

Without options, it measures all peers in the short form, in less than five minutes. The server has
one core to itself; the load generator and Redis share another one. The command fails if our server
did not deliver everything.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from . import machine, plot
from .machine import Cores
from .peers import PEERS, Peer
from .regimes import LONG, SHORT, Regime
from .report import Report
from .rig import Rig, batches, end_children, install_node_peers
from .rows import Row, compare

RESULTS = Path(__file__).resolve().parent / "results"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(
            ["regimes (* only in the long form):"]
            + [f"  {name:<12} {title}" for name, title in _titles()]
            + ["peers:"]
            + [f"  {peer.name:<17} {peer.title}" for peer in PEERS.values()]
        ),
    )
    parser.add_argument("--long", action="store_true", help="more regimes, and longer")
    parser.add_argument("--regime", action="append", metavar="NAME", help="only this one; repeat")
    parser.add_argument("--peer", action="append", metavar="NAME", help="only this one; repeat")
    parser.add_argument("--rounds", type=int, default=3, help="the table shows their medians")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the folder of the results")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    known = {regime.name for regime in LONG}
    for name in options.regime or ():
        if name not in known:
            parser.error(f"there is no regime {name!r}; `--help` lists them")
    for name in options.peer or ():
        if name not in PEERS:
            parser.error(f"there is no peer {name!r}; `--help` lists them")
    return options


def _titles() -> list[tuple[str, str]]:
    short = {regime.name: regime for regime in SHORT}
    titles = {regime.name: short.get(regime.name, regime).title for regime in LONG}
    return [(name if name in short else f"{name} *", title) for name, title in titles.items()]


def choose(names: list[str] | None, is_long: bool) -> list[Regime]:
    """Return the regimes of the form, or the named ones, also if only the long form has them."""
    form = LONG if is_long else SHORT
    if not names:
        return list(form)
    by_name = {regime.name: regime for regime in (*LONG, *form)}
    return [by_name[name] for name in dict.fromkeys(names)]


def measure(regimes: list[Regime], peers: list[Peer], rounds: int, cores: Cores) -> list[Row]:
    """Measure all peers in each round, so that changes on the machine affect all of them."""
    rows = {
        (regime.name, peer.name): Row(regime, peer)
        for regime, peer in product(regimes, peers)
        if regime.servers == 1 or not peer.is_alone
    }
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        rig = Rig(Path(folder), cores)
        if any(peer.is_ours for peer in peers):
            say("populating the database of the measured site")
            rig.populate(regimes)
        for number in range(rounds):
            for peer, batch in product(
                peers, batches([regime for regime in regimes if regime.rounds > number])
            ):
                batch = [regime for regime in batch if (regime.name, peer.name) in rows]
                if not batch:
                    continue
                names = ", ".join(regime.name for regime in batch)
                say(f"round {number + 1} of {rounds}: {peer.name}: {names}")
                for name, outcome in rig.measure(peer, batch).items():
                    rows[name, peer.name].outcomes.append(outcome)
    compare(list(rows.values()))
    return list(rows.values())


def write(report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.begun:%Y-%m-%dT%H-%M-%S}.json"
    path.write_text(report.as_json())
    plot.draw(report.rows, path.with_suffix(".png"), caption=report.caption)
    seconds = (datetime.now(UTC) - report.begun).total_seconds()
    say(f"took {seconds:.0f} s; written to {path} and the picture beside it")


def main() -> int:
    options = parse()
    regimes = choose(options.regime, options.long)
    usual = [name for name, peer in PEERS.items() if options.long or not peer.is_long_only]
    peers = [PEERS[name] for name in dict.fromkeys(options.peer or usual)]
    begun, cores = datetime.now(UTC), Cores.choose()
    conditions = machine.describe(cores)
    machine.raise_file_limit()
    # Child processes start on the generator's core; only servers are moved to another one.
    os.sched_setaffinity(0, [cores.generator])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if any(peer.needs_node for peer in peers):
            install_node_peers()
        report = Report(begun, conditions, measure(regimes, peers, options.rounds, cores))
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        end_children()
    print(report.as_text())
    write(report, options.output)
    return 1 if any(row.problems for row in report.rows if row.peer.is_ours) else 0


if __name__ == "__main__":
    sys.exit(main())

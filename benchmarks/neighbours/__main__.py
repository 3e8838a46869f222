"""`python -m benchmarks.neighbours`: what each attack costs, and what everybody else notices.

For each attack a server of its own runs, with a Redis of its own. Bystanders talk, connect and sign
out for a while alone, and then beside the attack; the table compares both. The command fails if a
bound of docs/guarantees.md is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django

from .. import machine
from ..machine import ROOT, Cores
from .attacks import ATTACKS, Attack
from .bystanders import Bystanders
from .site import ATTACKER, SERVERS, SETTINGS, Running, create_database, running
from .table import Result, as_markdown

WARM_UP_SECONDS = 3.0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.neighbours",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(["attacks:"] + [f"  {each.row:<8} {each.title}" for each in ATTACKS]),
    )
    parser.add_argument("--row", action="append", metavar="J4", help="only this one; repeat")
    parser.add_argument("--server", action="append", choices=SERVERS, help="only this one")
    parser.add_argument("--seconds", type=float, default=8, help="of each half of a comparison")
    return parser.parse_args()


def choose(rows: list[str] | None) -> list[tuple[int, Attack]]:
    found = [
        (number, attack)
        for number, attack in enumerate(ATTACKS)
        if not rows or set(rows) & set(attack.row.split(", "))
    ]
    if not found:
        raise SystemExit("there is no such row; `--help` lists them")
    return found


async def compare(server: str, number: int, site: Running, seconds: float) -> Result:
    bystanders = Bystanders(site.port)
    token = await asyncio.to_thread(site.site.token, ATTACKER)
    await bystanders.enter(leavers=2 * int(seconds) + 6)
    await bystanders.live(WARM_UP_SECONDS)
    await asyncio.to_thread(site.turns)
    with _meter(site) as alone_cpu:
        alone = await bystanders.live(seconds)
    turns_alone = await asyncio.to_thread(site.turns)
    memory = site.forget_peak()
    with _meter(site) as beside_cpu:
        attacker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.neighbours.attacker"),
            *(str(number), str(site.port), str(seconds)),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        attacking = asyncio.create_task(attacker.communicate(token.encode() + b"\n"))
        beside = await bystanders.live(seconds)
    peak = site.peak_bytes()
    turns_beside = await asyncio.to_thread(site.turns)
    said, _ = await attacking
    bystanders.leave()
    return Result(
        server,
        ATTACKS[number],
        Counter(json.loads(said)),
        (alone_cpu[0] / seconds, beside_cpu[0] / seconds),
        peak - memory,
        (turns_alone, turns_beside),
        alone,
        beside,
    )


@contextmanager
def _meter(site: Running) -> Iterator[list[float]]:
    used: list[float] = []
    before = site.cpu_seconds()
    yield used
    used.append(site.cpu_seconds() - before)


def main() -> int:
    options = parse()
    chosen = choose(options.row)
    servers = options.server or list(SERVERS)
    os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
    django.setup()
    cores = Cores.choose()
    machine.raise_file_limit()
    os.sched_setaffinity(0, [cores.generator])
    results = []
    with tempfile.TemporaryDirectory(prefix="neighbours-") as folder:
        say("creating the database")
        template = create_database(Path(folder))
        for server in servers:
            for number, attack in chosen:
                if server not in attack.servers:
                    continue
                say(f"{server}: {attack.row}: {attack.title}")
                with running(server, template, cores) as site:
                    results.append(asyncio.run(compare(server, number, site, options.seconds)))
                say(f"    {results[-1].in_milliseconds}")
                say(f"    {' | '.join(results[-1].cells()[2:])}")
                for problem in results[-1].problems:
                    say(f"    broken: {problem}")
    for topic, facts in machine.describe(cores).items():
        print(f"{topic}: {', '.join(f'{name} {value}' for name, value in facts.items())}")
    print(as_markdown(results))
    return 1 if any(result.problems for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m benchmarks.counts`: how many system calls and Python functions an operation takes.

No time is measured, so the figures depend neither on the machine nor on its load. A real server
with real sockets and Redis runs under `strace`, with a counter of function calls. The clients do
one thing after the other. The figures are the lowest of a few windows of several operations each:
what happens beside them, such as a timer that rings, only adds calls.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.support import processes

from . import counted, operations
from .machine import ROOT
from .operations import Window
from .peers import PEERS

SERVERS = ("ours-uvicorn", "ours-daphne")
UNCOUNTED = "futex,getpid,mmap,munmap,brk,madvise"
"""Locks of threads, memory, and what Python 3.11 asks at each look for its loop."""
STRACE = ("strace", "-f", "-qq", "-e", "signal=none", "-e", f"trace=!{UNCOUNTED}")
_MARK = re.compile(re.escape(counted.trace_of(0)).replace("0", r"(\d+)"))


@dataclass(frozen=True)
class Count:
    """The calls of one operation. `system` is None if they could not be traced."""

    functions: float
    system: float | None

    def exceeds(self, bound: Count) -> bool:
        if self.functions > bound.functions:
            return True
        return self.system is not None and bound.system is not None and self.system > bound.system


BOUNDS = {
    "ours-uvicorn": {
        "echo": Count(80, 3.7),
        "message to two": Count(98, 9.7),
        "delivery": Count(4.6, 1.3),
        "handshake": Count(7_200, 290),
        "subscription": Count(330, 1.2),
    },
    "ours-daphne": {
        "echo": Count(105, 4.7),
        "message to two": Count(164, 11.7),
        "delivery": Count(8.3, 1.35),
        "handshake": Count(8_400, 300),
        "subscription": Count(460, 1.2),
    },
}
"""A few percent above what was counted on Python 3.11 with the versions of `requirements.txt`; a
sixth above it for handshakes and subscriptions, which come in smaller batches on a busy machine.
Later versions of Python call fewer functions: a comprehension is none any more."""


def why_not_traced() -> str:
    """Return what to do to have system calls counted, or "" if they are."""
    if shutil.which("strace") is None:
        return "strace is missing; on Debian: apt-get install strace"
    tried = subprocess.run(
        ["strace", "-qq", "-o", os.devnull, "true"], capture_output=True, text=True
    )
    if tried.returncode:
        return f"strace may not trace here; a container needs SYS_PTRACE: {tried.stderr.strip()}"
    return ""


def populate(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Make the database of the site. Return its environment, and tokens of its users."""
    env = {
        **PEERS["ours-uvicorn"].env,
        counted.SWITCH: "1",
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
    }
    made = subprocess.run(
        [sys.executable, "-m", "benchmarks.population", "--users", str(operations.USERS)],
        cwd=ROOT,
        env={**os.environ, **env},
        input=json.dumps({room: {} for room in operations.ROOMS}),
        capture_output=True,
        text=True,
        check=True,
    )
    return env, json.loads(made.stdout)


def count(
    server: str, folder: Path, env: Mapping[str, str], tokens: list[str]
) -> tuple[dict[str, Count], dict[str, Counter[str]]]:
    """Run all operations on a server. Return their counts, and how often each function was called
    in an operation, if `env` has a folder for that."""
    trace = folder / f"{server}.trace" if not why_not_traced() else None
    with ExitStack() as stack:
        redis_port, port = processes.free_port(), processes.free_port()
        redis = processes.start_redis(folder, redis_port)
        stack.callback(redis.stop)
        command = PEERS[server].command(port)
        if trace is not None:
            command = [*STRACE, "-o", str(trace), *command]
        urls = {**env, "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0"}
        process = processes.start(command, folder / f"{server}.log", port, urls)
        stack.callback(process.kill)
        windows = asyncio.run(operations.run(port, tokens))
        process.terminate_group()  # strace itself ends with what it traces
        process.popen.wait(30)
    system = _system_calls(trace) if trace is not None else None
    base = windows.pop("nothing")
    counts = {name: _lowest(found, base, system) for name, found in windows.items()}
    if names := env.get(counted.FOLDER):
        called = {name: _called(Path(names), found, base) for name, found in windows.items()}
    else:
        called = {}
    return counts, called


def _lowest(windows: list[Window], base: list[Window], system: list[int] | None) -> Count:
    """What a window takes, less what one takes in which nothing is done; for one operation."""

    def of_one(total: float, nothing: float) -> float:
        return (total - nothing) / windows[0].operations

    def traced(found: list[Window]) -> float:
        assert system is not None
        return min(system[each.end] - system[each.begin] for each in found)

    return Count(
        of_one(*(min(each.functions for each in found) for found in (windows, base))),
        None if system is None else of_one(traced(windows), traced(base)),
    )


def _system_calls(trace: Path) -> list[int]:
    """How many system calls there were before each mark, by the number of the mark."""
    found, calls = [0], 0
    with trace.open(errors="replace") as lines:
        for line in lines:
            if "resumed>" in line[:60] or line.endswith("+++\n"):
                continue
            if _MARK.search(line):
                found.append(calls)
            calls += 1
    return found


def _called(folder: Path, windows: list[Window], base: list[Window]) -> Counter[str]:
    """The calls of each function, less those of windows in which nothing is done."""
    found: Counter[str] = Counter()
    for sign, each in [*((1, each) for each in windows), *((-1, each) for each in base)]:
        for factor, mark in ((sign, each.end), (-sign, each.begin)):
            names = json.loads(counted.names_at(folder, mark).read_text())
            found.update({name: factor * calls for name, calls in names.items()})
    total = sum(each.operations for each in windows)
    return Counter({name: calls / total for name, calls in found.items()})  # type: ignore[misc]


def table(counts: Mapping[str, Mapping[str, Count]]) -> list[str]:
    lines = [f"{'':14}{'':17}{'functions':>10}{'at most':>9}{'system':>9}{'at most':>9}"]
    for server, found in counts.items():
        for name, each in found.items():
            bound = BOUNDS[server][name]
            numbers = (each.functions, bound.functions, each.system, bound.system)
            cells = ["-" if number is None else f"{number:.2f}" for number in numbers]
            note = "  EXCEEDED" if each.exceeds(bound) else ""
            lines.append(
                f"{server:14}{name:17}{cells[0]:>10}{cells[1]:>9}{cells[2]:>9}{cells[3]:>9}{note}"
            )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.counts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--server", action="append", choices=SERVERS, help="both by default")
    parser.add_argument(
        "--functions", type=int, default=0, metavar="N", help="print the N most called functions"
    )
    options = parser.parse_args()
    if reason := why_not_traced():
        print(f"System calls are not counted: {reason}", file=sys.stderr)
    counts = {}
    with tempfile.TemporaryDirectory(prefix="counts-") as name:
        folder = Path(name)
        env, tokens = populate(folder)
        if options.functions:
            env[counted.FOLDER] = name
        for server in options.server or SERVERS:
            counts[server], called = count(server, folder, env, tokens)
            for operation, functions in called.items():
                print(f"\n{server}, {operation}:")
                for function, calls in functions.most_common(options.functions):
                    print(f"{calls:9.2f}  {function}")
    print(*table(counts), sep="\n")
    exceeded = any(
        each.exceeds(BOUNDS[server][name])
        for server, found in counts.items()
        for name, each in found.items()
    )
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main())

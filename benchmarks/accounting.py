"""CPU time and memory of processes, as the operating system counts them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")


def family(pid: int) -> Iterator[int]:
    """The process and all its descendants."""
    yield pid
    for children in _PROC.glob(f"{pid}/task/*/children"):
        for child in children.read_text().split():
            yield from family(int(child))


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of the processes and their descendants, with all threads."""
    families = [pid for parent in pids for pid in family(parent)]
    return sum(time.clock_gettime(_cpu_clock(pid)) for pid in families)


def _cpu_clock(pid: int) -> int:
    """The clock of a process, as in clock_getcpuclockid(3).

    It has a resolution of 1 ns; /proc/<pid>/stat has 10 ms.
    """
    return (~pid << 3) | 2


def resident_bytes(pids: Iterable[int]) -> int:
    families = [pid for parent in pids for pid in family(parent)]
    return sum(
        int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE_BYTES for pid in families
    )


def busy_seconds(core: int) -> float:
    """Busy time of a core since the machine started, including time stolen by other guests."""
    for line in (_PROC / "stat").read_text().splitlines():
        name, *values = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, values[:8])
            return (user + nice + system + irq + softirq + steal) / _TICKS
    raise ValueError(f"there is no core {core}")


def pin(pid: int, cores: Iterable[int]) -> None:
    """Pin a process, with all its threads, to these cores."""
    for thread in (_PROC / str(pid) / "task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


@dataclass(frozen=True)
class Reading:
    at: float
    server: float
    redis: float
    generator: float
    busy: float


@dataclass(frozen=True)
class Meter:
    """Reads the CPU time that servers, Redis and the generator have used so far."""

    servers: list[int]
    redis: list[int]
    core: int
    """The core that the server is pinned to."""

    def read(self) -> Reading:
        return Reading(
            at=time.perf_counter(),
            server=cpu_seconds(self.servers),
            redis=cpu_seconds(self.redis),
            generator=time.process_time(),
            busy=busy_seconds(self.core),
        )

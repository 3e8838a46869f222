"""The measuring machine: its cores, limits and versions."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from .peers import FOLDER

ROOT = Path(__file__).resolve().parent.parent
PYTHON_PACKAGES = (
    *("Django", "channels", "channels_redis", "daphne", "uvicorn", "uvloop", "websockets"),
    *("redis", "hiredis", "msgspec", "python-socketio"),
)
NODE_PACKAGES = ("socket.io", "@socket.io/redis-adapter", "ws", "redis", "bufferutil", "bun")


@dataclass(frozen=True)
class Cores:
    """The core of the server, and the core that the generator shares with Redis."""

    server: int
    generator: int

    @classmethod
    def choose(cls) -> Cores:
        available = sorted(os.sched_getaffinity(0))
        return cls(available[0], available[-1])

    @property
    def are_shared(self) -> bool:
        return self.server == self.generator


def raise_file_limit() -> None:
    """Raise the limit of open files, and so of sockets, for this process and its children."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def describe(cores: Cores) -> dict[str, dict[str, str]]:
    shared = "all on one core: no figure can be trusted" if cores.are_shared else ""
    return {
        "machine": _hardware(),
        "versions": _versions(),
        "cores": {
            "server": str(cores.server),
            "generator and Redis": shared or str(cores.generator),
        },
    }


def _hardware() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": next(iter(models), "unknown"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "load at the start": f"{os.getloadavg()[0]:.2f}",
    }


def _versions() -> dict[str, str]:
    locked = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    return {
        "realtime": _first_line("git", "describe", "--always", "--dirty"),
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in PYTHON_PACKAGES},
        "Redis": _first_line("redis-server", "--version").partition("v=")[2].partition(" ")[0],
        "Node.js": _first_line("node", "--version").removeprefix("v"),
        **{f"npm {name}": locked[f"node_modules/{name}"]["version"] for name in NODE_PACKAGES},
    }


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "missing"
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return next(iter(finished.stdout.splitlines()), "unknown")

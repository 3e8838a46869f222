"""The attacked site: a server with a Redis and a database of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import processes

from ..accounting import cpu_seconds, pin
from ..machine import Cores
from .attacks import FULL_ROOMS

ATTACKER = "mallory"
SETTINGS = "benchmarks.neighbours.settings"
SERVERS = {
    "uvicorn": ("uvicorn-fast", ["--log-level", "warning"]),
    "daphne": ("daphne", ["-v", "0"]),
}
_MESSAGES, _BYTES = 30, 16_000


@dataclass(frozen=True)
class Running:
    """A server that runs, on a core of its own."""

    site: processes.Site

    @property
    def port(self) -> int:
        return self.site.port

    @property
    def _proc(self) -> Path:
        return Path("/proc", str(self.site.process.popen.pid))

    def cpu_seconds(self) -> float:
        return cpu_seconds([self.site.process.popen.pid])

    def turns(self) -> list[float]:
        """CPU time of the event loop between the turns of a timer, since the last call, in ms."""
        with urllib.request.urlopen(self.site.url + "/turns/", timeout=60) as answer:
            found: list[float] = json.load(answer)
            return found

    def forget_peak(self) -> int:
        """Start to measure the peak of the memory again; returns the bytes in use."""
        (self._proc / "clear_refs").write_text("5")
        return self._bytes("VmRSS")

    def peak_bytes(self) -> int:
        return self._bytes("VmHWM")

    def _bytes(self, name: str) -> int:
        for line in (self._proc / "status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the server has ended")


def create_database(folder: Path) -> Path:
    """Create the demo users and rooms, the attacker, and the rooms with long histories."""
    path = folder / "template.sqlite3"
    env = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{path}",
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "DJANGO_DEBUG": "1",
    }
    rows = (
        "from django.contrib.auth.models import User; from realtime.models import Room; "
        "from config.management.commands.demo import PASSWORD; "
        f"User.objects.create_user({ATTACKER!r}, password=PASSWORD); "
        f"[Room.objects.create(name=n, access='authenticated') for n in {FULL_ROOMS}]"
    )
    for words in (["migrate", "-v", "0"], ["demo"], ["shell", "-v", "0", "-c", rows]):
        command = [sys.executable, "manage.py", *words]
        subprocess.run(command, cwd=processes.ROOT, env=env, check=True, capture_output=True)
    return path


@contextmanager
def running(server: str, template: Path, cores: Cores) -> Iterator[Running]:
    """Start Redis and the server, each in the state that every attack finds."""
    with ExitStack() as stack:
        folder = template.parent
        database = folder / "db.sqlite3"
        for part in ("", "-wal", "-shm"):
            Path(f"{database}{part}").unlink(missing_ok=True)
        shutil.copy(template, database)
        port = processes.free_port()
        redis = processes.start_redis(folder, port)
        stack.callback(redis.kill)
        pin(redis.popen.pid, [cores.generator])
        name, options = SERVERS[server]
        env = {
            "DATABASE_URL": f"sqlite:///{database}",
            "REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "DJANGO_SETTINGS_MODULE": SETTINGS,
        }
        application = "benchmarks.neighbours.asgi:application"
        site = processes.start_site(name, folder, env, 0, application, options)
        stack.callback(site.process.kill)
        pin(site.process.popen.pid, [cores.server])
        site.shell(
            "from realtime import publish; "
            f"[publish(n, 'x' * {_BYTES}) for n in {FULL_ROOMS} for _ in range({_MESSAGES})]"
        )
        yield Running(site)

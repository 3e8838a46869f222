"""Starts Redis, the measured servers and the generator, each on its core, and stops them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.support import processes

from .accounting import family, pin
from .generator import Job
from .machine import ROOT, Cores
from .outcomes import Outcome
from .peers import FOLDER, PEERS, Peer
from .regimes import Kind, Regime

REGIME_SECONDS = 150
"""Time allowed to set up and end a regime, in addition to its measuring time."""


def install_node_peers() -> None:
    """Install the packages of package-lock.json, unless they are installed."""
    lock, installed = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".installed"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=FOLDER, check=True, stdout=subprocess.DEVNULL)
    installed.touch()


def end_children() -> None:
    """Kill all remaining child processes, for example after an interrupt."""
    for pid in list(family(os.getpid()))[1:]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def batches(regimes: Sequence[Regime]) -> list[list[Regime]]:
    """Group regimes by the server process that they share: one series shares one.

    The memory regime needs a fresh server, and so do regimes with several servers.
    """
    found: dict[object, list[Regime]] = {}
    for regime in regimes:
        is_apart = regime.kind is Kind.IDLE or regime.servers > 1
        found.setdefault(regime.name if is_apart else regime.series, []).append(regime)
    return list(found.values())


class Rig:
    """Measures peers. Its folder holds the database of the measured site and the tokens."""

    def __init__(self, folder: Path, cores: Cores) -> None:
        self.folder = folder
        self.cores = cores
        self._tokens = folder / "tokens.json"
        self._database = {"DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}"}

    def populate(self, regimes: Sequence[Regime]) -> None:
        """Create a user for every connection of a server, and the rooms."""
        users = max(sum(regime.connections for regime in batch) for batch in batches(regimes))
        rooms = {
            name: dict(regime.room_fields) for regime in regimes for name in regime.room_names()
        }
        with self._tokens.open("w") as output:
            subprocess.run(
                [sys.executable, "-m", "benchmarks.population", "--users", str(users)],
                cwd=ROOT,
                env={**os.environ, **PEERS["ours-uvicorn"].env, **self._database},
                input=json.dumps(rooms),
                stdout=output,
                text=True,
                check=True,
            )

    def measure(
        self, peer: Peer, regimes: Sequence[Regime], messages: int = 0
    ) -> dict[str, Outcome]:
        """Return the outcomes by regime name. If `messages` is not 0, each ends after this many."""
        count = regimes[0].servers
        server_cores = [self.cores.server, self.cores.generator][:count]
        generator_cores = [self.cores.generator] if count == 1 else server_cores
        with ExitStack() as stack:
            redis_port = processes.free_port()
            redis = processes.start_redis(self.folder, redis_port)
            stack.callback(redis.stop)
            pin(redis.popen.pid, generator_cores)
            env = {**peer.env, "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0"}
            if peer.is_ours:
                env |= self._database
            ports, servers = [], []
            for core in server_cores:
                ports.append(processes.free_port())
                log = self.folder / f"{peer.name}-{ports[-1]}.log"
                servers.append(processes.start(peer.command(ports[-1]), log, ports[-1], env))
                stack.callback(servers[-1].stop)
                pin(servers[-1].popen.pid, [core])
            job = Job(
                dialect=peer.dialect,
                ports=ports,
                server_pids=[server.popen.pid for server in servers],
                redis_pids=[redis.popen.pid],
                server_core=self.cores.server,
                generator_cores=generator_cores,
                regimes=list(regimes),
                tokens=str(self._tokens) if peer.is_ours else "",
                messages=messages,
            )
            outcomes = _generate(job)
            for server in servers:
                if server.popen.poll() is not None:
                    _mark(outcomes, f"the server ended: {_last_line(server.log.read_text())}")
            return outcomes


def _generate(job: Job) -> dict[str, Outcome]:
    generator = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.generator"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seconds = sum(REGIME_SECONDS + regime.seconds for regime in job.regimes)
    try:
        said, complained = generator.communicate(job.to_json(), timeout=seconds)
    except subprocess.TimeoutExpired:
        generator.kill()
        said, complained = generator.communicate()
        complained = complained or "it took too long"
    finally:
        generator.kill()
        generator.wait()
    outcomes = {}
    for line in said.splitlines():
        fields = json.loads(line)
        name = fields.pop("regime")
        outcomes[name] = Outcome(**fields)
    for regime in job.regimes:
        missing = Outcome({}, [f"the generator ended: {_last_line(complained)}"])
        outcomes.setdefault(regime.name, missing)
    return outcomes


def _mark(outcomes: dict[str, Outcome], problem: str) -> None:
    for outcome in outcomes.values():
        outcome.problems.append(problem)


def _last_line(text: str) -> str:
    """The last line that names an error, else the last line."""
    lines = text.strip().splitlines() or ["no output"]
    return next((line for line in reversed(lines) if "Error" in line), lines[-1])

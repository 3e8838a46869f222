"""Starts what is measured and the generator, each on its core, and ends them."""

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
"""Beside the time for which it measures, what a regime may take to set up and to end."""


def install_node_peers() -> None:
    """What package-lock.json names, where it is not there yet."""
    lock, installed = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".installed"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=FOLDER, check=True, stdout=subprocess.DEVNULL)
    installed.touch()


def end_children() -> None:
    """What this process has started and could not end in order: it was interrupted meanwhile."""
    for pid in list(family(os.getpid()))[1:]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def batches(regimes: Sequence[Regime]) -> list[list[Regime]]:
    """Which regimes follow each other on one server: those in which clients talk, of one size of a
    room. Memory wants a server that has done nothing yet."""
    found: dict[object, list[Regime]] = {}
    for regime in regimes:
        is_apart = regime.kind is Kind.IDLE or regime.servers > 1
        found.setdefault(regime.name if is_apart else regime.series, []).append(regime)
    return list(found.values())


class Rig:
    """A folder with the database of the measured site and the tokens of its users."""

    def __init__(self, folder: Path, cores: Cores) -> None:
        self.folder = folder
        self.cores = cores
        self._tokens = folder / "tokens.json"
        self._database = {"DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}"}

    def populate(self, regimes: Sequence[Regime]) -> None:
        """Every connection of a server gets a user of its own."""
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
        """By the name of the regime. `messages`, where it isn't 0, ends each after so many."""
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
    """What names an error, where a line does."""
    lines = text.strip().splitlines() or ["it said nothing"]
    return next((line for line in reversed(lines) if "Error" in line), lines[-1])

"""`python -m benchmarks.generator`: the load generator, which runs in its own process.

It reads a `Job` as JSON from stdin, measures one regime after the other, and prints a line of JSON
as soon as a regime is measured.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from .accounting import Meter
from .dialects import DIALECTS
from .measuring import Clients
from .regimes import Regime


@dataclass(frozen=True)
class Job:
    """The input of a generator."""

    dialect: str
    ports: list[int]
    server_pids: list[int]
    redis_pids: list[int]
    server_core: int
    generator_cores: list[int]
    regimes: list[Regime]
    tokens: str = ""
    """The path of a JSON file with tokens; "" if the servers need none."""
    messages: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        fields: dict[str, Any] = json.loads(text)
        fields["regimes"] = [Regime.from_fields(regime) for regime in fields["regimes"]]
        return cls(**fields)


async def run(job: Job, tokens: list[str]) -> None:
    clients = Clients(
        dialect=DIALECTS[job.dialect],
        ports=job.ports,
        tokens=tokens,
        meter=Meter(job.server_pids, job.redis_pids, job.server_core),
    )
    for regime in job.regimes:
        outcome = await clients.measure(regime, job.messages)
        print(json.dumps({"regime": regime.name, **asdict(outcome)}), flush=True)
    await clients.close()


def main() -> None:
    job = Job.from_json(sys.stdin.read())
    os.sched_setaffinity(0, job.generator_cores)
    gc.disable()  # few reference cycles here, and a pause would count as time of the server
    tokens = json.loads(Path(job.tokens).read_text()) if job.tokens else []
    uvloop.run(run(job, tokens))


if __name__ == "__main__":
    main()

"""`python -m tests.delivery`: run the check and print the figures. Fails if anything is lost."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from tests.delivery.ledger import judge
from tests.delivery.run import Plan, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.delivery", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--rate", type=float, default=250, help="messages a second")
    parser.add_argument(
        "--cut-every",
        type=float,
        default=0.4,
        help="seconds between two cuts of a member's connection",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peer", choices=["realtime", "tutorial"], default="realtime")
    parser.add_argument(
        "--neighbours",
        action="store_true",
        help="with hung rules, hostile frames, damaged keys, full histories and revocations",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    plan = Plan(
        messages=options.messages,
        members=options.members,
        rate=options.rate,
        cut_every_seconds=options.cut_every,
        seed=options.seed,
        peer=options.peer,
        neighbours=options.neighbours,
    )
    with tempfile.TemporaryDirectory(prefix="delivery-") as folder:
        ledger = asyncio.run(run(plan, Path(folder)))
    verdict = judge(ledger, numbered=plan.is_ours)
    figures = {
        "sent": ledger.sent,
        "acknowledged": sum(map(len, ledger.acknowledged.values())),
        "members": plan.members,
        "delivered": ledger.delivered,
        **dataclasses.asdict(verdict),
        "recoveries": dict(sorted(ledger.recoveries.items())),
        "seed": plan.seed,
    }
    if plan.neighbours:
        figures |= {
            "neighbours": dict(sorted(ledger.neighbours.items())),
            "revoked": len(ledger.revoked_after),
            "revoked_late": sum(after > LATE_SECONDS for after in ledger.revoked_after),
            "not_revoked": ledger.not_revoked,
            "tracebacks": ledger.tracebacks,
        }
    if options.json:
        print(json.dumps(figures))
    else:
        _print(figures)
    return 0 if verdict.is_clean and not ledger.not_revoked else 1


LATE_SECONDS = 1.0
_LABELS = {
    "revoked": "rights withdrawn",
    "revoked_late": "of them after more than a second",
    "not_revoked": "rights withdrawn without effect",
    "tracebacks": "tracebacks in the logs",
    "sent": "messages sent",
    "acknowledged": "messages acknowledged",
    "members": "members",
    "delivered": "deliveries",
    "lost": "lost without notice",
    "told": "missed, with notice",
    "vanished": "acknowledged, but received by nobody",
    "out_of_order": "out of order",
    "doubled": "doubled",
    "seed": "seed",
}


def _print(figures: dict[str, object]) -> None:
    for name, value in figures.items():
        if isinstance(value, dict):
            for kind, count in value.items():
                print(f"{'  ' + kind:<45}{count:>10,}")
        else:
            print(f"{_LABELS[name]:<45}{value:>10,}")


if __name__ == "__main__":
    sys.exit(main())

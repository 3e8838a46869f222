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
from tests.delivery.run import run
from tests.delivery.site import Plan


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.delivery", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument(
        "--seconds",
        type=float,
        help="take so long, in place of --messages; the accidents come once a minute",
    )
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--rate", type=float, help="messages a second: 250, or 50 with --seconds")
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
    rate = options.rate or (50 if options.seconds else 250)
    plan = Plan(
        messages=int(options.seconds * rate) if options.seconds else options.messages,
        members=options.members,
        rate=rate,
        rounds=max(1, int((options.seconds or 0) / ROUND_SECONDS)),
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
    is_clean = verdict.is_clean
    if ledger.fragile is not None:
        fragile = judge(ledger.fragile, numbered=True)
        final = ledger.fragile.refusals.total() - ledger.fragile.refusals["temporary"]
        figures |= {
            "neighbours": dict(sorted(ledger.neighbours.items())),
            "revoked": len(ledger.revoked_after),
            "revoked_late": len(ledger.late),
            "revoked_slowest": max(ledger.revoked_after, default=0),
            "not_revoked": ledger.not_revoked,
            "tracebacks": ledger.tracebacks,
            "repeated": len(ledger.repeated),
            "fragile_delivered": ledger.fragile.delivered,
            "fragile_wrong": sum(
                (fragile.lost, fragile.vanished, fragile.out_of_order, fragile.doubled)
            ),
            "fragile_temporary": ledger.fragile.refusals["temporary"],
            "fragile_final": final,
            "back_slowest": max(ledger.back_after, default=0),
        }
        for line in ledger.repeated:
            print(f"  logged twice in a minute: {line}", file=sys.stderr)
        for line in ledger.late:
            print(f"  late: {line}", file=sys.stderr)
        is_clean = is_clean and fragile.is_clean and not (final or ledger.repeated)
    if options.json:
        print(json.dumps(figures))
    else:
        _print(figures)
    return 0 if is_clean and not ledger.not_revoked else 1


ROUND_SECONDS = 60
_LABELS = {
    "revoked": "rights withdrawn",
    "revoked_late": "of them after more than a second",
    "not_revoked": "rights withdrawn without effect",
    "revoked_slowest": "the slowest, in seconds",
    "tracebacks": "tracebacks in the logs",
    "repeated": "lines logged twice in a minute",
    "fragile_delivered": "deliveries in the room of the dying Redis",
    "fragile_wrong": "lost, doubled or out of order in it",
    "fragile_temporary": "temporary errors in it",
    "fragile_final": "final errors in it",
    "back_slowest": "seconds until it is back, at most",
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
            shown = f"{value:.2f}" if isinstance(value, float) else f"{value:,}"
            print(f"{_LABELS[name]:<45}{shown:>10}")


if __name__ == "__main__":
    sys.exit(main())

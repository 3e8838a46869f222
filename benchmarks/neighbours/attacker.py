"""The process of the attackers: `python -m benchmarks.neighbours.attacker NUMBER PORT SECONDS`.

Its standard input is a token. It prints the codes that the attackers got.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from .attacks import ATTACKS, Target

NICE = 19
"""The bystanders and Redis share a core with the attackers and are not to wait for them."""


def main() -> None:
    number, port, seconds = sys.argv[1:]
    os.nice(NICE)
    target = Target(int(port), sys.stdin.readline().strip(), float(seconds))
    asyncio.run(ATTACKS[int(number)].run(target))
    print(json.dumps(target.codes))


if __name__ == "__main__":
    main()

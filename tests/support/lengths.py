"""How long faults last: moments in `make test`, and as long as in reality with `LONG=1`."""

import os

LONG = bool(os.environ.get("LONG"))
IDLE_SECONDS, BLACK_HOLE_SECONDS, OUTAGE_SECONDS = (60, 30, 60) if LONG else (6, 7, 3)
COMERS_AND_GOERS = 10_000 if LONG else 150

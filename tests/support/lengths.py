"""Durations of faults: short in `make test`, realistic with `LONG=1`."""

import os

LONG = bool(os.environ.get("LONG"))
IDLE_SECONDS, BLACK_HOLE_SECONDS, OUTAGE_SECONDS = (60, 30, 60) if LONG else (6, 7, 3)
COMERS_AND_GOERS = 10_000 if LONG else 100
CHUNKS_TO_A_SLOW_READER = 1_700 if LONG else 1_000
"""Of 60 KiB: 100 MiB, or 59."""
DRAINED_SOCKETS = 500 if LONG else 250

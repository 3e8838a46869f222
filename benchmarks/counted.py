"""Counts the Python function calls of a server, in the server. Threads are included."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from itertools import count
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

SWITCH = "COUNTS"
"""The environment variable of a server that counts."""
FOLDER = "COUNTS_FOLDER"
"""The environment variable with the folder for the names of functions."""
_calls = count()
"""A counter that threads can share: `next` is one step, unlike `+=`."""
_functions: Counter[CodeType] = Counter()


def start() -> None:
    """Count from now on, in this thread and in all that start later."""
    sys.setprofile(_count)
    threading.setprofile(_count)


def mark(number: int) -> int:
    """Leave a system call in the trace of the process that can be found by the number. Return how
    many calls there were so far."""
    if folder := os.environ.get(FOLDER):
        _write_names(names_at(Path(folder), number))
    os.access(trace_of(number), os.F_OK)
    return next(_calls)


def trace_of(number: int) -> str:
    """The path that the system is asked for at a mark. There is no such file."""
    return f"/mark-{number}-of-counts"


def names_at(folder: Path, number: int) -> Path:
    """The file with the calls of each function at a mark, if they are asked for."""
    return folder / f"{number}.json"


def _write_names(path: Path) -> None:
    found: Counter[str] = Counter()
    for code, calls in [*_functions.items()]:
        module = "/".join(code.co_filename.split("/")[-3:])
        found[f"{module}:{code.co_qualname}"] += calls
    path.write_text(json.dumps(found))


def _count(frame: FrameType, event: str, argument: Any) -> None:
    if event == "call":
        next(_calls)
        _functions[frame.f_code] += 1

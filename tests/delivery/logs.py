"""What the servers have logged: tracebacks, and causes that were named too often."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

FORMAT = "{created:.3f} {process} {levelname} {name}: {message}"
"""The format of the lines of our own loggers, for `logging`."""
SPARSE_SECONDS = 60.0
_LINE = re.compile(r"(\d+\.\d{3}) (\d+) (?:WARNING|ERROR|CRITICAL) (realtime\S*: .*)")
_COUNT = re.compile(r" \(and \d+ more since the last line\)\Z")
_SLACK_SECONDS = 1.0
"""The clock of the log is not the one that the intervals are taken from."""


def tracebacks(texts: Iterable[str]) -> int:
    return sum(text.count("Traceback") for text in texts)


def repeated(texts: Iterable[str]) -> list[str]:
    """The lines that a process has logged less than a minute after the same line."""
    return [
        f"{cause} ({later - earlier:.1f} s later)"
        for times, cause in _causes(texts)
        for earlier, later in pairwise(times)
        if later - earlier < SPARSE_SECONDS - _SLACK_SECONDS
    ]


def causes(texts: Iterable[str]) -> list[str]:
    """The lines, each once."""
    return sorted({cause for _, cause in _causes(texts)})


def _causes(texts: Iterable[str]) -> Iterator[tuple[list[float], str]]:
    logged: dict[tuple[str, str], list[float]] = defaultdict(list)
    for text in texts:
        for line in text.splitlines():
            if found := _LINE.match(line):
                at, process, message = found.groups()
                logged[process, _COUNT.sub("", message)].append(float(at))
    for (_, cause), times in logged.items():
        yield sorted(times), cause

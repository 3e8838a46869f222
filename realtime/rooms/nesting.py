"""How deep JSON nests. Each Python release has another limit: 3.11 stops below 1,000 levels, 3.14
far above. A message that one process accepts must not break the reader of another one.
"""

from __future__ import annotations

from array import array
from itertools import accumulate

PARSER_LEVELS = 500
"""Parsers take so many levels on every Python, whatever is on the stack."""
ENVELOPE_LEVELS = 10
"""More than the protocols put around a payload."""
PAYLOAD_LEVELS = PARSER_LEVELS - ENVELOPE_LEVELS
"""The highest value of `MESSAGE_MAX_LEVELS`."""

_PARENTHESES = bytes.maketrans(b"[{]}", b"(())")
_STEPS = bytes.maketrans(b"()", b"\x01\xff")
_IRRELEVANT = bytes(set(range(256)) - set(b'[{]}"'))
_PASSES = 5
TOLERANCE = 32
"""Levels that `is_far_deeper` may miss. A parser takes more than `PARSER_LEVELS` by as many."""


def is_deeper(data: bytes, levels: int) -> bool:
    """Return whether lists and objects in `data`, which should be JSON, nest deeper than `levels`.

    Most payloads have fewer brackets than levels, and cost two searches. No step is in Python for
    each byte, because `data` may be long.
    """
    marks = _marks(data, levels)
    if not marks:
        return False
    for _ in range(min(_PASSES, levels)):
        # Each pass takes the deepest level away. What is wide and not deep is gone soon.
        marks = marks.replace(b"()", b"")
        levels -= 1
        if len(marks) <= 2 * levels:
            return False
    return max(accumulate(array("b", marks.translate(_STEPS))), default=0) > levels


def is_far_deeper(data: bytes, levels: int) -> bool:
    """As `is_deeper`, for what may have a megabyte: it takes a fraction of the time, and may find
    `TOLERANCE` levels too few."""
    marks = _marks(data, levels)
    depth = 0
    for start in range(0, len(marks), 2 * TOLERANCE):
        end = min(start + 2 * TOLERANCE, len(marks))
        depth += 2 * marks.count(b"(", start, end) - (end - start)
        if depth > levels:
            return True
    return False


def _marks(data: bytes, levels: int) -> bytes:
    """Return the brackets of `data` outside of its strings, as parentheses; nothing if they are too
    few for so many levels."""
    if data.count(b"[") + data.count(b"{") <= levels:
        return b""
    if b"\\" in data:
        data = data.replace(rb"\\", b"").replace(rb"\"", b"")
    # Now every second part between quotes is a string, whose brackets don't count.
    return b"".join(data.translate(_PARENTHESES, _IRRELEVANT).split(b'"')[::2])

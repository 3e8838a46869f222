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


def is_deeper(data: bytes, levels: int) -> bool:
    """Return whether lists and objects in `data`, which should be JSON, nest deeper than `levels`.

    Most payloads have fewer brackets than levels, and cost two searches. No step is in Python for
    each byte, because `data` may be long.
    """
    if data.count(b"[") + data.count(b"{") <= levels:
        return False
    if b"\\" in data:
        data = data.replace(rb"\\", b"").replace(rb"\"", b"")
    # Now every second part between quotes is a string, whose brackets don't count.
    outside_strings = data.translate(_PARENTHESES, _IRRELEVANT).split(b'"')[::2]
    marks = b"".join(outside_strings)
    for _ in range(min(_PASSES, levels)):
        # Each pass takes the deepest level away. What is wide and not deep is gone soon.
        marks = marks.replace(b"()", b"")
        levels -= 1
        if len(marks) <= 2 * levels:
            return False
    return max(accumulate(array("b", marks.translate(_STEPS))), default=0) > levels

"""What the doctor says."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["fine", "note", "warning", "error"]
LEVELS: tuple[Level, ...] = ("fine", "note", "warning", "error")
"""From what is as it should be to what does not work. A note is nothing to act on, but good to
know."""


class Remark(msgspec.Struct, frozen=True):
    """One sentence about one thing, and what to do if it is wrong. Holds no secrets."""

    level: Level
    about: str
    text: str
    cure: str = ""

"""The remarks as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..tables import printable, table
from .remarks import Remark


def report(remarks: Sequence[Remark], style: Any) -> Iterator[str]:
    """The lines of all remarks, by what they are about. `style` is that of a management command."""
    colours = {
        "fine": style.SUCCESS,
        "note": style.NOTICE,
        "warning": style.WARNING,
        "error": style.ERROR,
    }
    for about in dict.fromkeys(remark.about for remark in remarks):
        yield printable(about)
        own = [remark for remark in remarks if remark.about == about]
        rows = [(f"  {each.level}", f"{each.text} {each.cure}".strip()) for each in own]
        yield from table(rows, [(colours[each.level], None) for each in own])

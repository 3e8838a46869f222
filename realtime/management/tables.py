"""Tables for a terminal: aligned, within 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence

WIDTH = 80
GAP = "  "

Style = Callable[[str], str]


def table(
    rows: Sequence[Sequence[str]], styles: Sequence[Sequence[Style | None]] = ()
) -> Iterator[str]:
    """The lines of `rows`. The last column is wrapped; `styles` colour cells after they are
    aligned."""
    cleaned = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cleaned, strict=True)][:-1]
    indent = sum(widths) + len(GAP) * len(widths)
    for number, row in enumerate(cleaned):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        for column, style in enumerate(styles[number][:-1] if styles else ()):
            if style is not None:
                cells[column] = style(cells[column])
        lines = textwrap.wrap(row[-1], max(WIDTH - indent, 24), break_on_hyphens=False) or [""]
        yield GAP.join([*cells, lines[0]]).rstrip()
        yield from (" " * indent + line for line in lines[1:])


def printable(text: str) -> str:
    """Names come from the database, and may hold what a terminal would obey."""
    return "".join(it if it.isprintable() else "\N{REPLACEMENT CHARACTER}" for it in text)

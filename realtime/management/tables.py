"""Tables for a terminal: aligned, within 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from django.utils.timezone import get_current_timezone

from ..layers.records import Connection, LiveProcess

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
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def process_rows(alive: Sequence[LiveProcess]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("process", "host", "pid", "server", "connections", "since")]
    for number, each in enumerate(alive, 1):
        about = each.process
        known = (about.host, str(about.pid), about.server, str(len(each.connections)))
        rows.append((str(number), *known, moment(about.started_at)))
    return rows


def connection_rows(
    shown: Sequence[Connection], alive: Sequence[LiveProcess]
) -> list[tuple[str, ...]]:
    """Two rows for each connection: its id, to be copied whole, and who it is."""
    numbers = {each.process.id: str(number) for number, each in enumerate(alive, 1)}
    rows: list[tuple[str, ...]] = [("since", "process", "connection")]
    for connection in shown:
        number = numbers.get(connection.process, "")
        rows.append((moment(connection.since), number, connection.client))
        name = connection.name or "not signed in"
        who = ", ".join(filter(None, (name, connection.address, connection.app)))
        rows.append(("", "", f"{who}; in {', '.join(connection.rooms) or 'no room'}"))
    return rows


def totals(alive: Sequence[LiveProcess]) -> str:
    """How many processes, connections and people there are, in a sentence."""
    owners = [connection.user for process in alive for connection in process.connections]
    people = len(set(owners) - {""})
    words = f"{counted(len(alive), 'process', 'processes')}, {counted(len(owners), 'connection')}"
    words += f" of {counted(people, 'user')}" if people else ""
    words += f", {owners.count('')} not signed in" if "" in owners else ""
    return f"{words}."


def moment(seconds: float) -> str:
    """Unix time as people read it, in the site's time zone."""
    return f"{datetime.fromtimestamp(seconds, get_current_timezone()):%Y-%m-%d %H:%M:%S}"


def counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"

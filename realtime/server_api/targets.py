"""The rooms that a site publishes to: each must be one that can exist."""

from __future__ import annotations

from ..databases import reads_up_to_date
from ..exceptions import UnknownRoom
from ..models import Room
from ..rights.explanation import MOST_COMPARED, nearest
from ..rooms.publications import Retention, retention
from ..rooms.room_types import find_in_code, registered

MOST_PATTERNS = 3


@reads_up_to_date
def retention_of(name: str) -> Retention:
    """Return the retention of a room. Raises `UnknownRoom` if no room type and no room of the
    database has this name. Takes one query, none for a room type.

    An archived room has nobody in it, and is no mistake: an administrator may archive any room.
    """
    in_code = find_in_code(name)
    if in_code is not None:
        return retention(in_code)
    room = Room.objects.filter(name=name).first()
    # Some databases ignore case; room names are case-sensitive.
    if room is None or room.name != name:
        raise UnknownRoom(_why_unknown(name))
    return retention(room)


def _why_unknown(name: str) -> str:
    words = f"There is no room {name!r}: no room of the database is called so"
    known = [each.pattern.text for each in registered()]
    if known:
        words += f", and none of the patterns in code matches it ({_listed(name, known)})"
    stored = Room.objects.filter(archived=False).values_list("name", flat=True)
    if near := nearest(name, stored[:MOST_COMPARED]):
        words += f". Did you mean {near}?"
    else:
        words += ". Create the room, or correct the name."
    return words


def _listed(name: str, known: list[str]) -> str:
    """The patterns that begin alike first."""
    first = name.partition("/")[0]
    alike = sorted(known, key=lambda pattern: pattern.partition("/")[0] != first)
    return ", ".join(alike[:MOST_PATTERNS]) + ("" if len(known) <= MOST_PATTERNS else ", …")

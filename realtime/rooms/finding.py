"""Finds rooms by name, in code and in the database."""

from __future__ import annotations

from .. import names
from ..models import Room
from .room_types import CodeRoom, find_in_code

AnyRoom = Room | CodeRoom


def find(name: str) -> AnyRoom | None:
    """Return the room called `name`, or None if it does not exist or is archived."""
    if not names.is_room_name(name):
        return None
    in_code = find_in_code(name)
    if in_code is not None:
        return in_code
    room = Room.objects.filter(name=name, archived=False).first()
    # Some databases ignore case; room names are case-sensitive.
    return room if room is not None and room.name == name else None

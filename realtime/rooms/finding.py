"""Finds rooms by name, in code and in the database."""

from __future__ import annotations

from .. import names
from ..models import Room
from .room_types import CodeRoom, find_in_code

AnyRoom = Room | CodeRoom


def find(name: str) -> AnyRoom | None:
    """The room called `name`, or None where there is none or it is archived. Reads the database."""
    if not names.is_room_name(name):
        return None
    in_code = find_in_code(name)
    if in_code is not None:
        return in_code
    room = Room.objects.filter(name=name, archived=False).first()
    # Some databases compare without regard to case; rooms don't.
    return room if room is not None and room.name == name else None

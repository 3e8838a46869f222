"""The room types of the site."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Warning

from ..rooms.room_types import RoomType, registered


def check_room_types(**kwargs: Any) -> list[CheckMessage]:
    """Report room types that nobody may enter by a rule of theirs."""
    return [
        Warning(
            f"The rooms {entry.pattern.text!r} have no can_join: only superusers, and those to "
            "whom a backend gives the permission realtime.join_room, may enter them.",
            hint=f"Write `def can_join(self, user, …)` in {type(entry.room_type).__qualname__}, "
            "and return True for those who may. If permissions shall decide alone, silence this "
            "warning.",
            id="realtime.W021",
        )
        for entry in registered()
        if type(entry.room_type).can_join is RoomType.can_join
    ]

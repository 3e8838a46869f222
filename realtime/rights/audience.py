"""Which of some users a room is open to: those who see it in their list of rooms."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DatabaseError
from django.db.models import Q

from ..concurrency import threads
from ..databases import reads_up_to_date
from ..exceptions import LayerUnavailable
from ..models import Membership, Room

USERS_AT_ONCE = 500


async def entitled(name: str, user_ids: Collection[str]) -> list[str]:
    """Return those of `user_ids` ("" for anonymous users) that may enter a room of the database.

    Two queries, and one more for each 500 users. Rights from other authentication backends are not
    included. Raises `LayerUnavailable` if the database does not answer.
    """
    try:
        async with threads.timeout():
            return await threads.run_in_thread(_entitled, name, user_ids)
    except (TimeoutError, DatabaseError) as error:
        raise LayerUnavailable("the database does not answer") from error


@reads_up_to_date
def _entitled(name: str, user_ids: Collection[str]) -> list[str]:
    room = Room.objects.filter(name=name, archived=False).first()
    if room is None:
        return []
    if room.access == Room.Access.ANYONE:
        return list(user_ids)
    known = [user_id for user_id in user_ids if user_id]
    if room.access == Room.Access.AUTHENTICATED:
        return known
    found: list[str] = []
    for start in range(0, len(known), USERS_AT_ONCE):
        asked = _members(room).filter(pk__in=known[start : start + USERS_AT_ONCE])
        found += map(str, asked.values_list("pk", flat=True).distinct())
    return found


def _members(room: Room) -> Any:
    user_model = get_user_model()
    in_room = Membership.objects.current().filter(room=room)
    wanted = Q(pk__in=in_room.values("user"))
    fields = {field.name for field in user_model._meta.get_fields()}
    covers = {"content_type__app_label": "realtime", "codename": "join_room"}
    if "is_superuser" in fields:
        wanted |= Q(is_superuser=True)
    for path in ("user_permissions", "groups__permissions"):
        if path.partition("__")[0] in fields:
            wanted |= Q(**{f"{path}__{key}": value for key, value in covers.items()})
    if "groups" in fields:
        wanted |= Q(groups__in=room.groups.order_by().values("pk"))
    return user_model._default_manager.filter(wanted)

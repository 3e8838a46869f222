"""Which of some users a room is open to: those who see it in their list of rooms."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import DatabaseError
from django.db.models import Q

from .. import user_models
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
    if any(field.name == "is_superuser" for field in user_model._meta.concrete_fields):
        wanted |= Q(is_superuser=True)
    joins = {"content_type__app_label": "realtime", "codename": "join_room"}
    directly, groups = user_models.permissions(), user_models.groups()
    if directly is not None:
        wanted |= directly.to(Permission.objects.filter(**joins))
    if groups is not None:
        able = Group.objects.filter(
            **{f"permissions__{key}": value for key, value in joins.items()}
        )
        wanted |= groups.to(able) | groups.to(room.groups.order_by())
    return user_model._default_manager.filter(wanted)

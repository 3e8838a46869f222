"""Receivers of Django's signals about rooms and memberships."""

from __future__ import annotations

from typing import Any

from ..models import Membership, Room
from .announcements import announce_saved
from .loaded_values import LoadedValues, columns_of
from .messages import Audience
from .user_signals import M2M_DONE

_ACCESS_COLUMNS = ("name", "access", "archived")

_of_room = LoadedValues((*_ACCESS_COLUMNS, "publishing"))
_of_membership = LoadedValues(("room_id", "user_id", "role", "muted", "expires_at"))


def load_room(instance: Room, **kwargs: Any) -> None:
    _of_room.remember(instance)


def room_saved(
    instance: Room, created: bool, using: str, update_fields: Any = None, **kwargs: Any
) -> None:
    changed = _of_room.changed(instance, update_fields)
    before = _of_room.before(instance)
    _of_room.remember_saved(instance, update_fields)
    if created:
        # The name may be that of a room before it.
        announce_saved(using, room=_name_of(instance), audience=Audience.ENTITLED)
        return
    may_lock_out = not changed.isdisjoint(_ACCESS_COLUMNS)
    if "name" in changed and isinstance(before.get("name"), str):
        announce_saved(using, room=before["name"])
    announce_saved(
        using,
        room=_name_of(instance),
        audience=Audience.EVERYONE if changed else Audience.NOBODY,
        may_lock_out=may_lock_out,
    )


def room_deleted(instance: Room, using: str, **kwargs: Any) -> None:
    announce_saved(using, room=_name_of(instance))


def room_groups_changed(
    instance: Any, action: str, reverse: bool, using: str, **kwargs: Any
) -> None:
    if action not in M2M_DONE or kwargs.get("pk_set") == set():
        return
    audience = Audience.ENTITLED if action == "post_add" else Audience.EVERYONE
    announce_saved(using, room=None if reverse else _name_of(instance), audience=audience)


def _name_of(room: Room) -> str | int:
    """Return the name of a room, or its primary key if the database has computed the name, as from
    `Lower("name")`."""
    name: Any = room.name
    return name if isinstance(name, str) else int(room.pk)


# Memberships


def load_membership(instance: Membership, **kwargs: Any) -> None:
    _of_membership.remember(instance)


def membership_saved(
    instance: Membership, created: bool, using: str, update_fields: Any = None, **kwargs: Any
) -> None:
    written = columns_of(Membership, update_fields)
    changed = _of_membership.changed(instance, written)
    before = _of_membership.before(instance)
    _of_membership.remember_saved(instance, written)
    if not created and not changed.isdisjoint({"room_id", "user_id"}):
        # It was somebody else's, or in another room.
        was_in = before.get("room_id", instance.room_id)
        announce_saved(using, user=before.get("user_id"), room=was_in)
    announce_saved(
        using,
        user=instance.user_id,
        room=_room_of(instance),
        audience=Audience.EVERYONE if changed or created else Audience.NOBODY,
        may_lock_out=bool(changed or created),
    )


def membership_deleted(instance: Membership, using: str, **kwargs: Any) -> None:
    announce_saved(using, user=instance.user_id, room=_room_of(instance))


def memberships_deleted(rows: list[tuple[Any, str]] | None, using: str, **kwargs: Any) -> None:
    if rows is None:
        announce_saved(using)  # too many to name them
        return
    for user, room in rows:
        announce_saved(using, user=user, room=room)


def _room_of(instance: Membership) -> str | int:
    """Return the name of the room if it was read already, else its primary key. Fixtures may load
    the membership before the room."""
    if Membership.room.is_cached(instance):
        return _name_of(instance.room)
    return int(instance.room_id)

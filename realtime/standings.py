"""How users stand to rooms of the database: role, groups, permissions, read in few queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db.models import Exists, OuterRef, Q, Subquery

from .models import Membership, Room

ACTIONS = ("join", "publish", "moderate")
_CODENAMES = {f"{action}_room": f"realtime.{action}_room" for action in ACTIONS}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database says of one user in one room."""

    membership: Membership | None = None
    in_group: bool = False
    permissions: frozenset[str] | None = None
    """Which of the permissions that cover all rooms the user has, directly or from a group; None
    where that was not read."""


def standing(user: Any, room: Room) -> Standing:
    """What was read with the room, or is read now."""
    known: Standing | None = getattr(room, "standings", {}).get(user.pk)
    if known is not None:
        return known
    membership = Membership.objects.current().filter(room=room, user=user).first()
    in_group = _groups(user).filter(pk__in=room.groups.values("pk")).exists()
    return Standing(membership, in_group)


def is_archived(name: str) -> bool:
    """Whether there is a room called `name` that nobody may enter any more."""
    archived = Room.objects.filter(name=name, archived=True)
    return any(room.name == name for room in archived)


def stored_membership(user: Any, room: Room) -> Membership | None:
    """The membership as it is stored, be it expired."""
    return Membership.objects.filter(room=room, user=user.pk).first()


def shared_groups(user: Any, room: Room) -> list[str]:
    """The names of the groups that make the user a member of the room."""
    shared = _groups(user).filter(pk__in=room.groups.values("pk"))
    return list(shared.order_by("name").values_list("name", flat=True))


def groups_with(user: Any, permission: str) -> list[str]:
    """The names of the user's groups that have `permission`, as in `realtime.join_room`."""
    app_label, codename = permission.split(".")
    having = _groups(user).filter(
        permissions__content_type__app_label=app_label, permissions__codename=codename
    )
    return list(having.order_by("name").values_list("name", flat=True))


def has_directly(user: Any, permission: str) -> bool:
    """Whether the user was given `permission` personally."""
    app_label, codename = permission.split(".")
    given = {"content_type__app_label": app_label, "codename": codename}
    return hasattr(user, "user_permissions") and user.user_permissions.filter(**given).exists()


def absent_room(user: Any, name: str) -> Room:
    """Stands in for a room that is not there, so that asking for it takes the same way."""
    room = Room(name=name, access=Room.Access.MEMBERS)
    room.standings = {user.pk: Standing(permissions=frozenset())}  # type: ignore[attr-defined]
    return room


def find_room(user: Any, name: str) -> Room | None:
    """The open room called `name` with the standing of `user` in it: one query."""
    asked = Room.objects.filter(name=name, archived=False)
    if not user.is_anonymous:
        mine = Membership.objects.current().filter(room=OuterRef("pk"), user=user)
        groups = Room.groups.through.objects.filter(
            room=OuterRef("pk"), group__in=_groups(user).values("pk")
        )
        held = {f"_has_{name}": _holds(user, name) for name in _CODENAMES}
        asked = asked.annotate(
            _role=Subquery(mine.values("role")[:1]),
            _muted=Subquery(mine.values("muted")[:1]),
            _expires_at=Subquery(mine.values("expires_at")[:1]),
            _in_group=Exists(groups),
            **held,
        )
    found: Any = asked.first()
    # Some databases compare without regard to case; rooms don't.
    if found is None or found.name != name:
        return None
    if not user.is_anonymous:
        membership = None
        if found._role is not None:
            membership = Membership(
                room=found,
                user_id=user.pk,
                role=found._role,
                muted=found._muted,
                expires_at=found._expires_at,
            )
        permissions = frozenset(
            permission for name, permission in _CODENAMES.items() if getattr(found, f"_has_{name}")
        )
        found.standings = {user.pk: Standing(membership, found._in_group, permissions)}
    room: Room = found
    return room


def find_rooms(wanted: Collection[str], users: Collection[Any]) -> dict[str, Room]:
    """Open rooms by name, with the standing of all these users (their keys): six queries."""
    if not wanted:
        return {}
    found = {it.name: it for it in Room.objects.filter(name__in=wanted, archived=False)}
    memberships = Membership.objects.current().filter(room__name__in=found, user__in=users)
    roles = {(it.room_id, it.user_id): it for it in memberships}
    groups_of_room, groups_of_user = defaultdict(set), defaultdict(set)
    through: Any = Room.groups.through.objects.filter(room__name__in=found)
    for room_id, group_id in through.values_list("room_id", "group_id"):
        groups_of_room[room_id].add(group_id)
    for user_id, group_id in _relation("groups", users):
        groups_of_user[user_id].add(group_id)
    permissions = _permissions_of(users)
    for room in found.values():
        room.standings = {  # type: ignore[attr-defined]
            user_id: Standing(
                roles.get((room.pk, user_id)),
                not groups_of_room[room.pk].isdisjoint(groups_of_user[user_id]),
                frozenset(permissions[user_id]),
            )
            for user_id in users
        }
    return found


def _permissions_of(users: Collection[Any]) -> defaultdict[Any, set[str]]:
    """Who has which of the permissions that cover all rooms."""
    permissions: defaultdict[Any, set[str]] = defaultdict(set)
    for path in ("user_permissions", "groups__permissions"):
        of_rooms = {
            f"{path}__content_type__app_label": "realtime",
            f"{path}__codename__in": list(_CODENAMES),
        }
        for user_id, codename in _relation(f"{path}__codename", users, **of_rooms):
            permissions[user_id].add(_CODENAMES[codename])
    return permissions


def _relation(path: str, users: Collection[Any], **conditions: Any) -> Any:
    """Pairs of a user's key and what `path` leads to; none for a user model without it."""
    user_model = get_user_model()
    if not hasattr(user_model, path.partition("__")[0]):
        return ()
    asked = user_model._default_manager.filter(pk__in=users, **{f"{path}__isnull": False})
    return asked.filter(**conditions).values_list("pk", path)


def _groups(user: Any) -> Any:
    """The user's groups; none for a user model that has none."""
    return user.groups.all() if hasattr(user, "groups") else Group.objects.none()


def _holds(user: Any, codename: str) -> Any:
    # ModelBackend reads the same in two queries of its own.
    permission = Permission.objects.filter(content_type__app_label="realtime", codename=codename)
    holders = Q(group__in=_groups(user).values("pk"))
    if hasattr(user, "user_permissions"):
        holders |= Q(pk__in=user.user_permissions.values("pk"))
    return Exists(permission.filter(holders))

"""How users stand to rooms of the database: role, groups, permissions, read in few queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, Value
from django.utils import timezone

from ..models import Membership, Room

ACTIONS = ("join", "publish", "moderate")
_CODENAMES = {f"{action}_room": f"realtime.{action}_room" for action in ACTIONS}


@dataclass(frozen=True, slots=True)
class UserInRoom:
    """What the database says of one user in one room."""

    membership: Membership | None = None
    in_group: bool = False
    permissions: frozenset[str] | None = None
    """Which of the permissions that cover all rooms the user has, directly or from a group; None
    where that was not read."""


def user_in_room(user: Any, room: Room) -> UserInRoom:
    """What was read with the room, or is read now."""
    known: UserInRoom | None = getattr(room, "users_in_room", {}).get(user.pk)
    if known is not None:
        return known
    membership = Membership.objects.current().filter(room=room, user=user).first()
    in_group = _groups(user).filter(pk__in=room.groups.values("pk")).exists()
    return UserInRoom(membership, in_group)


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
    room.users_in_room = {user.pk: UserInRoom(permissions=frozenset())}  # type: ignore[attr-defined]
    return room


def find_room(user: Any, name: str) -> Room | None:
    """The open room called `name` with what the database says of `user` in it: one query.

    Django takes longer to build it than a database to answer it, so it is kept simple: who has one
    of the permissions that cover all rooms, as few people do, is asked again which.
    """
    asked = Room.objects.filter(name=name, archived=False)
    if not user.is_anonymous:
        mine = Q(memberships__user=user) & (
            Q(memberships__expires_at=None) | Q(memberships__expires_at__gt=timezone.now())
        )
        asked = asked.annotate(
            _mine=FilteredRelation("memberships", condition=mine),
            _role=F("_mine__role"),
            _muted=F("_mine__muted"),
            _expires_at=F("_mine__expires_at"),
            _in_group=_is_in_group(user),
            _covers=_covers_rooms(user),
        )
    found: Any = asked.first()
    # Some databases compare without regard to case; rooms don't.
    if found is None or found.name != name:
        return None
    if not user.is_anonymous:
        found.users_in_room = {user.pk: _user_found(user, found)}
    room: Room = found
    return room


def _user_found(user: Any, found: Any) -> UserInRoom:
    permissions = None if found._covers else frozenset[str]()
    if found._role is None:
        return UserInRoom(None, found._in_group, permissions)
    membership = Membership(
        room=found,
        user_id=user.pk,
        role=found._role,
        muted=found._muted,
        expires_at=found._expires_at,
    )
    return UserInRoom(membership, found._in_group, permissions)


def find_rooms(wanted: Collection[str], users: Collection[Any]) -> dict[str, Room]:
    """Open rooms by name, with what it says of all these users (their keys): six queries."""
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
        room.users_in_room = {  # type: ignore[attr-defined]
            user_id: UserInRoom(
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


def _path(field: str) -> str:
    """What leads from a group or a permission to the users who have it."""
    relation: Any = get_user_model()._meta.get_field(field)
    return str(relation.related_query_name())


def _is_in_group(user: Any) -> Any:
    if not hasattr(user, "groups"):
        return Value(False)
    shared = {f"group__{_path('groups')}": user.pk}
    return Exists(Room.groups.through.objects.filter(room=OuterRef("pk"), **shared))


def _covers_rooms(user: Any) -> Any:
    """Whether the user has a permission that covers all rooms, directly or from a group."""
    holders = Q()
    if hasattr(user, "groups"):
        holders |= Q(**{f"group__{_path('groups')}": user.pk})
    if hasattr(user, "user_permissions"):
        holders |= Q(**{_path("user_permissions"): user.pk})
    if not holders:
        return Value(False)
    of_rooms = Permission.objects.filter(
        content_type__app_label="realtime", codename__in=list(_CODENAMES)
    )
    return Exists(of_rooms.filter(holders))

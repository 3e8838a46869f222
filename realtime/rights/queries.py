"""Reads roles, groups and permissions of users in rooms with few queries."""

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
MOST_NAMED = 1_000
"""Databases limit the parameters of a query."""
_CODENAMES = {f"{action}_room": f"realtime.{action}_room" for action in ACTIONS}


@dataclass(frozen=True, slots=True)
class UserInRoom:
    """The membership, shared groups and permissions of one user in one room."""

    membership: Membership | None = None
    in_group: bool = False
    permissions: frozenset[str] | None = None
    """The permissions of the user that cover all rooms, directly or from a group; None if they were
    not read."""


def user_in_room(user: Any, room: Room) -> UserInRoom:
    """Return what was read together with the room, or read it now."""
    known: UserInRoom | None = getattr(room, "users_in_room", {}).get(user.pk)
    if known is not None:
        return known
    membership = Membership.objects.current().filter(room=room, user=user).first()
    in_group = _groups(user).filter(pk__in=room.groups.values("pk")).exists()
    return UserInRoom(membership, in_group)


def is_archived(name: str) -> bool:
    """Return whether there is an archived room called `name`."""
    archived = Room.objects.filter(name=name, archived=True)
    return any(room.name == name for room in archived)


def stored_membership(user: Any, room: Room) -> Membership | None:
    """Return the membership even if it has expired."""
    return Membership.objects.filter(room=room, user=user.pk).first()


def shared_groups(user: Any, room: Room) -> list[str]:
    """Return the names of the groups that make the user a member of the room."""
    shared = _groups(user).filter(pk__in=room.groups.values("pk"))
    return list(shared.order_by("name").values_list("name", flat=True))


def groups_with(user: Any, permission: str) -> list[str]:
    """Return the names of the user's groups that have `permission`, as in `realtime.join_room`."""
    app_label, codename = permission.split(".")
    having = _groups(user).filter(
        permissions__content_type__app_label=app_label, permissions__codename=codename
    )
    return list(having.order_by("name").values_list("name", flat=True))


def has_directly(user: Any, permission: str) -> bool:
    """Return whether the user has `permission` directly, not from a group."""
    app_label, codename = permission.split(".")
    given = {"content_type__app_label": app_label, "codename": codename}
    return hasattr(user, "user_permissions") and user.user_permissions.filter(**given).exists()


def absent_room(user: Any, name: str) -> Room:
    """Return a closed room in place of a missing one, to run the same rules for both."""
    room = Room(name=name, access=Room.Access.MEMBERS)
    room.users_in_room = {user.pk: UserInRoom(permissions=frozenset())}  # type: ignore[attr-defined]
    return room


def find_room(user: Any, name: str) -> Room | None:
    """Return the open room called `name` with the `UserInRoom` of `user`, in one query.

    Building a query takes Django longer than the database needs to answer it, so this one is kept
    simple: it reads only whether the user has any permission for all rooms. The few users who have
    one cost another query.
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
    # Some databases ignore case; room names are case-sensitive.
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
    """Return open rooms by name, with the `UserInRoom` of all these user ids: six queries."""
    if not wanted:
        return {}
    found = {room.name: room for room in Room.objects.filter(name__in=wanted, archived=False)}
    read_users(found.values(), users)
    return found


def read_users(rooms: Collection[Room], users: Collection[Any]) -> None:
    """Give each of `rooms` the `UserInRoom` of all these user ids: five queries."""
    memberships = _of_rooms(Membership.objects.current().filter(user__in=users), rooms)
    roles = {(member.room_id, member.user_id): member for member in memberships}
    groups_of_room, groups_of_user = defaultdict(set), defaultdict(set)
    for user_id, group_id in _relation("groups", users):
        groups_of_user[user_id].add(group_id)
    held = set().union(*groups_of_user.values())
    through: Any = Room.groups.through.objects.filter(group__in=held)
    for room_id, group_id in _of_rooms(through, rooms).values_list("room_id", "group_id"):
        groups_of_room[room_id].add(group_id)
    permissions = _permissions_of(users)
    for room in rooms:
        room.users_in_room = {  # type: ignore[attr-defined]
            user_id: UserInRoom(
                roles.get((room.pk, user_id)),
                not groups_of_room[room.pk].isdisjoint(groups_of_user[user_id]),
                frozenset(permissions[user_id]),
            )
            for user_id in users
        }


def _of_rooms(asked: Any, rooms: Collection[Room]) -> Any:
    """Narrow `asked` to `rooms`, if these are few enough to be named in a query."""
    if len(rooms) > MOST_NAMED:
        return asked
    return asked.filter(room__in=[room.pk for room in rooms])


def _permissions_of(users: Collection[Any]) -> defaultdict[Any, set[str]]:
    """Return the permissions for all rooms that each user has."""
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
    """Return pairs of a user id and the value at `path`; none if users have no such field."""
    user_model = get_user_model()
    if not hasattr(user_model, path.partition("__")[0]):
        return ()
    asked = user_model._default_manager.filter(pk__in=users, **{f"{path}__isnull": False})
    return asked.filter(**conditions).values_list("pk", path)


def _groups(user: Any) -> Any:
    """Return the user's groups; none if the user model has no groups."""
    return user.groups.all() if hasattr(user, "groups") else Group.objects.none()


def _path(field: str) -> str:
    """Return the look-up from a group or permission to its users."""
    relation: Any = get_user_model()._meta.get_field(field)
    return str(relation.related_query_name())


def _is_in_group(user: Any) -> Any:
    if not hasattr(user, "groups"):
        return Value(False)
    shared = {f"group__{_path('groups')}": user.pk}
    return Exists(Room.groups.through.objects.filter(room=OuterRef("pk"), **shared))


def _covers_rooms(user: Any) -> Any:
    """Return an expression: whether the user has a permission for all rooms."""
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

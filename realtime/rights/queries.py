"""Reads roles, groups and permissions of users in rooms with few queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Exists, F, FilteredRelation, OuterRef, Q
from django.utils import timezone

from .. import user_models
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
    return UserInRoom(membership, _shared(user, room).exists())


def is_archived(name: str) -> bool:
    """Return whether there is an archived room called `name`."""
    archived = Room.objects.filter(name=name, archived=True)
    return any(room.name == name for room in archived)


def stored_membership(user: Any, room: Room) -> Membership | None:
    """Return the membership even if it has expired."""
    return Membership.objects.filter(room=room, user=user.pk).first()


def shared_groups(user: Any, room: Room) -> list[str]:
    """Return the names of the groups that make the user a member of the room."""
    return list(_shared(user, room).order_by("name").values_list("name", flat=True).distinct())


def _shared(user: Any, room: Room) -> Any:
    return room.groups.filter(user_models.in_groups_of(user.pk))


def groups_with(user: Any, permission: str) -> list[str]:
    """Return the names of the user's groups that have `permission`, as in `realtime.join_room`."""
    app_label, codename = permission.split(".")
    having = Group.objects.filter(
        user_models.in_groups_of(user.pk),
        permissions__content_type__app_label=app_label,
        permissions__codename=codename,
    )
    return list(having.order_by("name").values_list("name", flat=True))


def has_directly(user: Any, permission: str) -> bool:
    """Return whether the user has `permission` directly, not from a group."""
    relation = user_models.permissions()
    if relation is None:
        return False
    app_label, codename = permission.split(".")
    given = {"content_type__app_label": app_label, "codename": codename}
    return Permission.objects.filter(relation.has(user.pk), **given).exists()


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
    relation = user_models.groups()
    for user_id, group_id in relation.pairs(users) if relation else ():
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
    found: defaultdict[Any, set[str]] = defaultdict(set)
    for relation, path in (
        (user_models.permissions(), ""),
        (user_models.groups(), "__permissions"),
    ):
        of_rooms = {
            f"{path}__content_type__app_label": "realtime",
            f"{path}__codename__in": list(_CODENAMES),
        }
        pairs = relation.pairs(users, f"{path}__codename", **of_rooms) if relation else ()
        for user_id, codename in pairs:
            found[user_id].add(_CODENAMES[codename])
    return found


def _is_in_group(user: Any) -> Exists:
    shared = Room.groups.through.objects.filter(user_models.in_groups_of(user.pk, "group"))
    return Exists(shared.filter(room=OuterRef("pk")))


def _covers_rooms(user: Any) -> Exists:
    """Return an expression: whether the user has a permission for all rooms."""
    of_rooms = Permission.objects.filter(
        content_type__app_label="realtime", codename__in=list(_CODENAMES)
    )
    return Exists(of_rooms.filter(user_models.held_by(user.pk)))

"""May they? Every right is asked of Django's `has_perm`; a backend here answers for rooms."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import auth
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError

from .. import rooms
from ..models import Membership, Room
from ..rooms.finding import AnyRoom
from . import queries
from .queries import ACTIONS as ACTIONS

logger = logging.getLogger("realtime.rights")

_PERMISSIONS = {f"realtime.{action}_room": action for action in ACTIONS}
_READ, _TALK = frozenset({"join"}), frozenset({"join", "publish"})
_NOTHING: frozenset[str] = frozenset()
_ROLES: dict[str, frozenset[str]] = {
    Membership.Role.MEMBER: _TALK,
    Membership.Role.MODERATOR: frozenset(ACTIONS),
}


class RoomBackend(BaseBackend):
    """Answers `user.has_perm("realtime.join_room", room)` and its siblings.

    `room` is a `Room` or a `rooms.CodeRoom`. Put it into `AUTHENTICATION_BACKENDS` beside the
    site's own. It authenticates nobody, and knows nothing but rooms.
    """

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        action = _PERMISSIONS.get(perm)
        if action is None or obj is None:
            return False
        if not user_obj.is_active and not user_obj.is_anonymous:
            return False
        if isinstance(obj, Room):
            return action in decide(user_obj, obj).actions or covers_all_rooms(user_obj, perm, obj)
        if isinstance(obj, rooms.CodeRoom):
            return hooks_allow(user_obj, action, obj) or covers_all_rooms(user_obj, perm)
        return False


@dataclass(frozen=True, slots=True)
class Decision:
    """What is allowed in a room of the database, and which rule decides that."""

    rule: str
    """`archived`, `membership`, `groups` or `access`."""
    given: frozenset[str] = _NOTHING
    """What this rule gives."""
    actions: frozenset[str] = _NOTHING
    """What is left of it by the room's rule on who may publish."""


def decide(user: Any, room: Room) -> Decision:
    """What roles, groups and access allow. The membership decides alone where there is one."""
    if room.archived:
        return Decision("archived")
    if user.is_anonymous:
        return _decision("access", _READ if room.access == Room.Access.ANYONE else _NOTHING, room)
    found = queries.user_in_room(user, room)
    if found.membership is not None:
        return _decision("membership", _given_to(found.membership), room)
    if found.in_group:
        return _decision("groups", _TALK, room)
    return _decision("access", _NOTHING if room.access == Room.Access.MEMBERS else _TALK, room)


def _given_to(membership: Membership) -> frozenset[str]:
    given = _ROLES.get(membership.role, _READ)
    return given - {"publish"} if membership.muted else given


def _decision(rule: str, given: frozenset[str], room: Room) -> Decision:
    by_members = room.publishing == Room.Publishing.MEMBERS
    by_moderators = room.publishing == Room.Publishing.MODERATORS and "moderate" in given
    return Decision(rule, given, given if by_members or by_moderators else given - {"publish"})


def covers_all_rooms(user: Any, perm: str, room: Room | None = None) -> bool:
    """Whether the user has `perm` without an object, directly or from a group: it covers all rooms.

    As Django's own loop over the backends: one that raises `PermissionDenied` ends it with a no.
    """
    if user.is_anonymous:
        return False
    try:
        return any(
            ask_for_all_rooms(backend, user, perm, room) is True
            for backend in auth.get_backends()
            if hasattr(backend, "has_perm")
        )
    except PermissionDenied:
        return False


def ask_for_all_rooms(backend: Any, user: Any, perm: str, room: Room | None) -> Any:
    """What one backend says of `perm` without an object.

    `ModelBackend`, which would be asked with two queries, was read along with the room.
    """
    known = None if room is None else getattr(room, "users_in_room", {}).get(user.pk)
    if known is not None and known.permissions is not None and type(backend) is ModelBackend:
        return perm in known.permissions
    return backend.has_perm(user, perm)


def hooks_allow(user: Any, action: str, room: rooms.CodeRoom) -> bool:
    """What the room type's `can_join` says, and for other actions their own hook too."""
    if not _hook_allows("can_join", user, room):
        return False
    return action == "join" or _hook_allows(f"can_{action}", user, room)


def _hook_allows(hook_name: str, user: Any, room: rooms.CodeRoom) -> bool:
    try:
        return ask_hook(hook_name, user, room) is True
    except DatabaseError:
        raise
    except Exception:
        # Rights fail closed: a rule that breaks is a no.
        logger.exception("%s.%s raised", type(room.type).__qualname__, hook_name)
        return False


def ask_hook(hook_name: str, user: Any, room: rooms.CodeRoom) -> Any:
    """What a hook of the room's type returns, or raises."""
    hook = getattr(room.type, hook_name)
    if iscoroutinefunction(hook):
        hook = async_to_sync(hook)
    return hook(user, **room.captured)


def may(user: Any, action: str, room: AnyRoom) -> bool:
    """Whether `user.has_perm("realtime.<action>_room", room)` is exactly True."""
    try:
        return user.has_perm(f"realtime.{action}_room", room) is True
    except DatabaseError:
        raise
    except Exception:
        logger.exception("a rule for %s raised", action)
        return False

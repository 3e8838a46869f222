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

from . import rooms, standings
from .models import Membership, Room
from .standings import ACTIONS as ACTIONS

logger = logging.getLogger("realtime.rights")

_PERMISSIONS = {f"realtime.{action}_room": action for action in ACTIONS}
_READ, _TALK = frozenset({"join"}), frozenset({"join", "publish"})
_NOTHING: frozenset[str] = frozenset()


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
    actions: frozenset[str]


def decide(user: Any, room: Room) -> Decision:
    """What roles, groups and access allow. The membership decides alone where there is one."""
    if room.archived:
        return Decision("archived", _NOTHING)
    if user.is_anonymous:
        return Decision("access", _READ if room.access == Room.Access.ANYONE else _NOTHING)
    standing = standings.standing(user, room)
    if standing.membership is not None:
        return Decision("membership", _role_actions(standing.membership, room))
    if standing.in_group or room.access != Room.Access.MEMBERS:
        by_members = room.publishing == Room.Publishing.MEMBERS
        rule = "groups" if standing.in_group else "access"
        return Decision(rule, _TALK if by_members else _READ)
    return Decision("access", _NOTHING)


def _role_actions(membership: Membership, room: Room) -> frozenset[str]:
    if membership.role == Membership.Role.MODERATOR:
        may_publish = room.publishing != Room.Publishing.NOBODY and not membership.muted
        return frozenset({"moderate"}) | (_TALK if may_publish else _READ)
    member = membership.role == Membership.Role.MEMBER and not membership.muted
    return _TALK if member and room.publishing == Room.Publishing.MEMBERS else _READ


def covers_all_rooms(user: Any, perm: str, room: Room | None = None) -> bool:
    """Whether the user has `perm` without an object, directly or from a group: it covers all rooms.

    `ModelBackend`, which would be asked with two queries, was read along with the room.
    """
    if user.is_anonymous:
        return False
    known = None if room is None else getattr(room, "standings", {}).get(user.pk)
    if known is None or known.permissions is None:
        return user.has_perm(perm) is True
    return any(_backend_allows(backend, user, perm, known.permissions) for backend in _others())


def _others() -> list[Any]:
    backends = [it for it in auth.get_backends() if not isinstance(it, RoomBackend)]
    return [it for it in backends if hasattr(it, "has_perm")]


def _backend_allows(backend: Any, user: Any, perm: str, known: frozenset[str]) -> bool:
    if type(backend) is ModelBackend:
        return perm in known
    try:
        return backend.has_perm(user, perm) is True
    except PermissionDenied:
        return False


def hooks_allow(user: Any, action: str, room: rooms.CodeRoom) -> bool:
    """What the room type's `can_join` says, and for other actions their own hook too."""
    if not _hook_allows("can_join", user, room):
        return False
    return action == "join" or _hook_allows(f"can_{action}", user, room)


def _hook_allows(hook_name: str, user: Any, room: rooms.CodeRoom) -> bool:
    hook = getattr(room.type, hook_name)
    if iscoroutinefunction(hook):
        hook = async_to_sync(hook)
    try:
        return hook(user, **room.captured) is True
    except DatabaseError:
        raise
    except Exception:
        # Rights fail closed: a rule that breaks is a no.
        logger.exception("%s.%s raised", type(room.type).__qualname__, hook_name)
        return False


def may(user: Any, action: str, room: rooms.AnyRoom) -> bool:
    """Whether `user.has_perm("realtime.<action>_room", room)` is exactly True."""
    try:
        return user.has_perm(f"realtime.{action}_room", room) is True
    except DatabaseError:
        raise
    except Exception:
        logger.exception("a rule for %s raised", action)
        return False

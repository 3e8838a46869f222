"""May they? Every right is asked of Django's `has_perm`; a backend here answers for rooms."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError

from . import names, rooms, threads
from .authentication import Identity
from .exceptions import LayerUnavailable
from .models import Membership, Room

logger = logging.getLogger("realtime.rights")

ACTIONS = ("join", "publish", "moderate")
_PERMISSIONS = {f"realtime.{action}_room": action for action in ACTIONS}


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
            return _has_model_permission(user_obj, perm) or action in _room_actions(user_obj, obj)
        if isinstance(obj, rooms.CodeRoom):
            return _has_model_permission(user_obj, perm) or _hooks_allow(user_obj, action, obj)
        return False


def _has_model_permission(user: Any, perm: str) -> bool:
    """A permission without an object, from the user or a group, covers all rooms."""
    return not user.is_anonymous and user.has_perm(perm) is True


def _room_actions(user: Any, room: Room) -> frozenset[str]:
    """What roles, groups and access allow. The membership decides alone where there is one."""
    reading, talking = frozenset({"join"}), frozenset({"join", "publish"})
    if room.archived:
        return frozenset()
    if user.is_anonymous:
        return reading if room.access == Room.Access.ANYONE else frozenset()
    # Both are asked always, so that a room that is not there takes as long as one that is closed.
    membership = Membership.objects.current().filter(room__name=room.name, user=user).first()
    in_group = user.groups.filter(
        pk__in=Room.groups.through.objects.filter(room__name=room.name).values("group")
    ).exists()
    by_members = room.publishing == Room.Publishing.MEMBERS
    if membership is not None:
        if membership.role == Membership.Role.MODERATOR:
            may_publish = room.publishing != Room.Publishing.NOBODY and not membership.muted
            return frozenset({"moderate"}) | (talking if may_publish else reading)
        member = membership.role == Membership.Role.MEMBER and not membership.muted
        return talking if member and by_members else reading
    if in_group or room.access != Room.Access.MEMBERS:
        return talking if by_members else reading
    return frozenset()


def _hooks_allow(user: Any, action: str, room: rooms.CodeRoom) -> bool:
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


@dataclass(frozen=True, slots=True)
class Grant:
    """What one connection may do in one room. `room` is None where it may do nothing."""

    room: rooms.AnyRoom | None = None
    actions: frozenset[str] = frozenset()


NOTHING = Grant()


def grant(identity: Identity, name: str) -> Grant:
    """The rights of `identity` in the room `name`, from the database as it is now.

    The user is read again, because Django caches permissions on the user object.
    """
    if not names.is_room_name(name):
        return NOTHING
    user = _fresh(identity.user)
    if user is None:
        return NOTHING
    room = rooms.find(name)
    # A room that is not there takes the same way through the rules as one that is closed.
    asked = room if room is not None else Room(name=name, access=Room.Access.MEMBERS)
    actions = frozenset(
        action for action in ACTIONS if may(user, action, asked) and identity.permits(action, name)
    )
    return Grant(room, actions) if room is not None and actions else NOTHING


async def agrant(identity: Identity, name: str) -> Grant:
    """As `grant`, off the event loop. A rule that hangs is a no.

    Raises `LayerUnavailable` when the database can't be asked.
    """
    try:
        async with threads.timeout():
            return await threads.run_in_thread(grant, identity, name)
    except TimeoutError:
        logger.error("the rules for a room did not answer in time; taken as a no")
        return NOTHING
    except DatabaseError as error:
        logger.error("the database could not be asked for rights: %s", type(error).__name__)
        raise LayerUnavailable("the database does not answer") from error


def _fresh(user: Any) -> Any:
    if isinstance(user, AnonymousUser):
        return AnonymousUser()
    return get_user_model()._default_manager.filter(pk=user.pk).first()

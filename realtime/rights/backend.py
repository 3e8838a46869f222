"""The authentication backend that decides rights in rooms."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.backends import ModelBackend as DjangoModelBackend
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.utils.module_loading import import_string

from .. import names, rooms, user_models
from ..codes import Error
from ..exceptions import Rejected
from ..models import Membership, Room
from ..rooms.finding import AnyRoom
from ..rooms.room_types import is_personal
from ..sparse_log import SparseLogs
from . import queries
from .queries import ACTIONS as ACTIONS

logger = logging.getLogger("realtime.rights")
_failures = SparseLogs(logger)

_rejection: ContextVar[Error | None] = ContextVar("rejection", default=None)
"""What the last hook that was asked has raised: `has_perm` can answer only yes or no."""

_PERMISSIONS = {f"realtime.{action}_room": action for action in ACTIONS}
_READ, _READ_AND_PUBLISH = frozenset({"join"}), frozenset({"join", "publish"})
_NOTHING: frozenset[str] = frozenset()
_ROLES: dict[str, frozenset[str]] = {
    Membership.Role.MEMBER: _READ_AND_PUBLISH,
    Membership.Role.MODERATOR: frozenset(ACTIONS),
}


class RoomBackend(BaseBackend):
    """Answers `user.has_perm("realtime.join_room", room)`, and the same for publish and moderate.

    `room` is a `Room` or a `rooms.CodeRoom`. It authenticates nobody, and says nothing about
    other objects.

    Connections ask it without being told to, after the backends of `AUTHENTICATION_BACKENDS`. It
    has to be listed there only if code of the site calls `has_perm` with a room; `ModelBackend`
    below is then the better entry.
    """

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        action = _PERMISSIONS.get(perm)
        if action is None or obj is None:
            return False
        if not user_obj.is_active and not user_obj.is_anonymous:
            return False
        if isinstance(obj, Room):
            return action in decide(user_obj, obj).actions or covers_all_rooms(user_obj, perm, obj)
        if is_personal(obj):
            return owns(user_obj, action, obj)
        if isinstance(obj, rooms.CodeRoom):
            return hooks_allow(user_obj, action, obj) or covers_all_rooms(user_obj, perm)
        return False

    async def ahas_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        # Django's own would look the permission up in a set, in which no room appears.
        return await sync_to_async(self.has_perm)(user_obj, perm, obj)


class ModelBackend(RoomBackend, DjangoModelBackend):
    """Django's `ModelBackend` that also answers `has_perm` for rooms.

    One entry of `AUTHENTICATION_BACKENDS` in place of two: with two, `login(request, user)` needs
    to be told which of them has authenticated the user.
    """

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        if obj is not None and perm in _PERMISSIONS:
            return RoomBackend.has_perm(self, user_obj, perm, obj)
        return DjangoModelBackend.has_perm(self, user_obj, perm, obj)


@dataclass(frozen=True, slots=True)
class Decision:
    """The actions that are allowed in a room of the database, and the rule that decided."""

    rule: str
    """`archived`, `membership`, `groups` or `access`."""
    given: frozenset[str] = _NOTHING
    """The actions that this rule gives."""
    actions: frozenset[str] = _NOTHING
    """The given actions, without `publish` if the room's publishing setting excludes it."""


def decide(user: Any, room: Room) -> Decision:
    """Decide by role, groups and access. If there is a membership, it alone decides."""
    if room.archived:
        return Decision("archived")
    if user.is_anonymous:
        return _decision("access", _READ if room.access == Room.Access.ANYONE else _NOTHING, room)
    found = queries.user_in_room(user, room)
    if found.membership is not None:
        return _decision("membership", _given_to(found.membership), room)
    if found.in_group:
        return _decision("groups", _READ_AND_PUBLISH, room)
    by_access = _NOTHING if room.access == Room.Access.MEMBERS else _READ_AND_PUBLISH
    return _decision("access", by_access, room)


def _given_to(membership: Membership) -> frozenset[str]:
    given = _ROLES.get(membership.role, _READ)
    return given - {"publish"} if membership.muted else given


def _decision(rule: str, given: frozenset[str], room: Room) -> Decision:
    by_members = room.publishing == Room.Publishing.MEMBERS
    by_moderators = room.publishing == Room.Publishing.MODERATORS and "moderate" in given
    return Decision(rule, given, given if by_members or by_moderators else given - {"publish"})


def covers_all_rooms(user: Any, perm: str, room: Room | None = None) -> bool:
    """Return whether the user has `perm` for all rooms: without an object, directly or by a group.

    Asks the backends in the same way as Django: `PermissionDenied` from one denies at once.
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
    """Return the answer of one backend to `perm` without an object.

    The answer of `ModelBackend`, which costs two queries, may have been read with the room.
    """
    known = None if room is None else getattr(room, "users_in_room", {}).get(user.pk)
    reads_alike = type(backend) in (DjangoModelBackend, ModelBackend)
    if known is not None and known.permissions is not None and reads_alike:
        return perm in known.permissions
    return user_models.ask_backend(backend, user, perm)


def hooks_allow(user: Any, action: str, room: rooms.CodeRoom) -> bool:
    """Return whether `can_join` of the room type allows it, and the hook of the action too."""
    if not _hook_allows("can_join", user, room):
        return False
    return action == "join" or _hook_allows(f"can_{action}", user, room)


def _hook_allows(hook_name: str, user: Any, room: rooms.CodeRoom) -> bool:
    try:
        return ask_hook(hook_name, user, room) is True
    except DatabaseError:
        raise
    except Rejected as rejected:
        _rejection.set(rejected.error)
        return False
    except Exception:
        # Rights fail closed: an error in a hook denies.
        hook = f"{type(room.type).__qualname__}.{hook_name}"
        _failures.of(hook).error("%s raised; denied", hook, exc_info=True)
        return False


def ask_hook(hook_name: str, user: Any, room: rooms.CodeRoom) -> Any:
    """Return what a hook of the room type returns, or raise what it raises."""
    hook = getattr(room.type, hook_name)
    if iscoroutinefunction(hook):
        hook = async_to_sync(hook)
    return hook(user, **room.captured)


def owns(user: Any, action: str, room: AnyRoom) -> bool:
    """Return whether a personal room is that of the user, who may join it and do nothing else.

    No permission, superuser or backend opens it to others.
    """
    if action != "join" or user.pk is None or not user.is_active:
        return False
    return names.personal_room(str(user.pk)) == room.name


def is_listed() -> bool:
    """Return whether `AUTHENTICATION_BACKENDS` has a backend that answers for rooms."""
    return _has_room_backend(tuple(settings.AUTHENTICATION_BACKENDS))


@cache
def _has_room_backend(paths: tuple[str, ...]) -> bool:
    backends = map(import_string, paths)
    return any(isinstance(each, type) and issubclass(each, RoomBackend) for each in backends)


_built_in = RoomBackend()


def may(user: Any, action: str, room: AnyRoom) -> bool:
    """Return whether the user may, by the backends of the site and the rules of rooms."""
    return refusal(user, action, room) is None


def refusal(user: Any, action: str, room: AnyRoom) -> Error | None:
    """Return None if the user may, else the error for the client: that of a `Rejected` which a hook
    of the site has raised, or "permission denied"."""
    if is_personal(room):
        return None if owns(user, action, room) else Error.PERMISSION_DENIED
    _rejection.set(None)
    try:
        last = None if is_listed() else _built_in
        if user_models.has_perm(user, f"realtime.{action}_room", room, last=last):
            return None
    except Rejected as rejected:
        return rejected.error
    return _rejection.get() or Error.PERMISSION_DENIED

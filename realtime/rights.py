"""May they? Every right is asked of Django's `has_perm`; a backend here answers for rooms."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import AnonymousUser, Group
from django.db import DatabaseError
from django.db.models import Exists, OuterRef, Subquery

from . import names, rooms, threads
from .authentication import Identity, still_valid
from .changes import changes
from .conf import realtime_settings
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
            # The permissions cost two queries a user, so they are asked last.
            return action in _room_actions(user_obj, obj) or _has_model_permission(user_obj, perm)
        if isinstance(obj, rooms.CodeRoom):
            return _has_model_permission(user_obj, perm) or _hooks_allow(user_obj, action, obj)
        return False


def _has_model_permission(user: Any, perm: str) -> bool:
    """A permission without an object, from the user or a group, covers all rooms."""
    return not user.is_anonymous and user.has_perm(perm) is True


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database says of one user in one room."""

    membership: Membership | None = None
    in_group: bool = False


def _standing(user: Any, room: Room) -> Standing:
    known: Standing | None = getattr(room, "standings", {}).get(user.pk)
    if known is not None:
        return known
    membership = Membership.objects.current().filter(room=room, user=user).first()
    in_group = user.groups.filter(pk__in=room.groups.values("pk")).exists()
    return Standing(membership, in_group)


def _room_actions(user: Any, room: Room) -> frozenset[str]:
    """What roles, groups and access allow. The membership decides alone where there is one."""
    reading, talking = frozenset({"join"}), frozenset({"join", "publish"})
    if room.archived:
        return frozenset()
    if user.is_anonymous:
        return reading if room.access == Room.Access.ANYONE else frozenset()
    standing = _standing(user, room)
    membership, in_group = standing.membership, standing.in_group
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


GRANTED = ("join", "publish")


@dataclass(frozen=True, slots=True)
class Grant:
    """What one connection may do in one room. `room` is None where it may do nothing."""

    room: rooms.AnyRoom | None = None
    actions: frozenset[str] = frozenset()
    version: int = field(default=-1, compare=False)
    """The `changes.version` before it was computed."""
    until: float | None = field(default=None, compare=False)
    """Unix time in seconds at which a membership ends that counts here."""
    asked_at: float = field(default=0.0, compare=False)


NOTHING = Grant()


@dataclass(frozen=True, slots=True)
class Question:
    """What the reviewer asks: may this one stay connected, and what may they do in these rooms?"""

    identity: Identity
    rooms: list[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """`user` as read anew, None where the connection has to end, and a grant for each room."""

    user: Any
    grants: dict[str, Grant] = field(default_factory=dict)


def grant(identity: Identity, name: str) -> Grant:
    """The rights of `identity` in the room `name`, from the database as it is now.

    Costs one query for a room of the database, one more for a user who has changed since
    `identity` was made, and those of permissions and other backends where they have to be asked.
    """
    if not names.is_room_name(name):
        return NOTHING
    user = identity.user
    if changes.since(identity.version, identity.user_id):
        # Django caches permissions on the user object.
        user = _fresh(user)
    return NOTHING if user is None else _grant(identity, user, name, _find_for(user, name))


def _grant(identity: Identity, user: Any, name: str, room: rooms.AnyRoom | None) -> Grant:
    # A room that is not there takes the same way through the rules as one that is closed.
    asked = room if room is not None else _absent(user, name)
    actions = frozenset(
        action for action in GRANTED if identity.permits(action, name) and may(user, action, asked)
    )
    if room is None or "join" not in actions:
        return NOTHING
    return Grant(room, actions, until=_until(user, room))


def _until(user: Any, room: rooms.AnyRoom) -> float | None:
    standing = getattr(room, "standings", {}).get(user.pk)
    membership = None if standing is None else standing.membership
    ends = None if membership is None else membership.expires_at
    return None if ends is None else ends.timestamp()


def _absent(user: Any, name: str) -> Room:
    room = Room(name=name, access=Room.Access.MEMBERS)
    room.standings = {user.pk: Standing()}  # type: ignore[attr-defined]
    return room


def _find_for(user: Any, name: str) -> rooms.AnyRoom | None:
    """The room, with the standing of `user` in it: one query."""
    in_code = rooms.find_in_code(name)
    if in_code is not None:
        return in_code
    asked = Room.objects.filter(name=name, archived=False)
    if not user.is_anonymous:
        mine = Membership.objects.current().filter(room=OuterRef("pk"), user=user)
        groups = Room.groups.through.objects.filter(room=OuterRef("pk"), group__in=_groups(user))
        asked = asked.annotate(
            _role=Subquery(mine.values("role")[:1]),
            _muted=Subquery(mine.values("muted")[:1]),
            _expires_at=Subquery(mine.values("expires_at")[:1]),
            _in_group=Exists(groups),
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
        found.standings = {user.pk: Standing(membership, found._in_group)}
    answer: Room = found
    return answer


def _groups(user: Any) -> Any:
    """The user's groups as a subquery; none for a user model that has none."""
    return user.groups.values("pk") if hasattr(user, "groups") else Group.objects.none()


async def agrant(identity: Identity, name: str) -> Grant:
    """As `grant`, off the event loop. A rule that hangs is a no.

    What is known of a user in a room of the database is used again until something of either
    changes, for `RECHECK_SECONDS` at most; look-ups that wait for the same answer share it.
    Raises `LayerUnavailable` when the database can't be asked.
    """
    key = (identity.user_id, name, identity.scopes)
    known = _known.get(key)
    if known is not None and _is_current(known, identity, name):
        return known
    waiting = (asyncio.get_running_loop(), changes.version, key)
    if waiting[1] < 0:
        return await _ask(identity, name)
    task = _asking.get(waiting)
    if task is None:
        task = _asking[waiting] = asyncio.ensure_future(_ask(identity, name))
        task.add_done_callback(lambda _: _asking.pop(waiting, None))
    answer = await asyncio.shield(task)
    if isinstance(answer.room, Room):
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[key] = answer
    return answer


MOST_KNOWN = 20_000
_Key = tuple[str, str, "frozenset[str] | None"]
_known: dict[_Key, Grant] = {}
_asking: dict[tuple[asyncio.AbstractEventLoop, int, _Key], asyncio.Future[Grant]] = {}


def _is_current(known: Grant, identity: Identity, name: str) -> bool:
    now = time.time()
    return (
        not changes.since(known.version, identity.user_id, name)
        and known.asked_at + realtime_settings.RECHECK_SECONDS > now
        and (known.until is None or known.until > now)
    )


async def _ask(identity: Identity, name: str) -> Grant:
    version, asked_at = changes.version, time.time()
    try:
        async with threads.timeout():
            answer = await threads.run_in_thread(grant, identity, name)
    except TimeoutError:
        logger.error("the rules for a room did not answer in time; taken as a no")
        return NOTHING
    except DatabaseError as error:
        logger.error("the database could not be asked for rights: %s", type(error).__name__)
        raise LayerUnavailable("the database does not answer") from error
    return replace(answer, version=version, asked_at=asked_at)


async def review(questions: list[Question]) -> list[Answer]:
    """Answer many questions with few queries, from the database as it is now.

    Raises `LayerUnavailable` when it can't be asked. A rule that hangs is a no for the one who is
    asked about, and for nobody else.
    """
    try:
        async with threads.timeout():
            return await threads.run_in_thread(_review, questions)
    except TimeoutError:
        if len(questions) > 1:
            return [answer for question in questions for answer in await review([question])]
        logger.error("the rules for a room did not answer in time; taken as a no")
        return [Answer(question.identity.user) for question in questions]
    except DatabaseError as error:
        logger.error("the database could not be asked for rights: %s", type(error).__name__)
        raise LayerUnavailable("the database does not answer") from error


def _review(questions: list[Question]) -> list[Answer]:
    # The keys of a person's many connections are looked up once.
    people = {it.identity.user.pk for it in questions if it.identity.user.pk is not None}
    users = get_user_model()._default_manager.in_bulk(list(people))
    found = _find_all({name for it in questions for name in it.rooms}, users)
    return [_answer(question, users, found) for question in questions]


def _answer(question: Question, users: dict[Any, Any], found: dict[str, Room]) -> Answer:
    identity = question.identity
    user = AnonymousUser() if identity.user.is_anonymous else users.get(identity.user.pk)
    if not still_valid(identity, user):
        return Answer(None)
    grants = {}
    for name in question.rooms:
        room = rooms.find_in_code(name) or found.get(name)
        grants[name] = _grant(identity, user, name, room)
    return Answer(user, grants)


def _find_all(wanted: set[str], users: dict[Any, Any]) -> dict[str, Room]:
    """Rooms of the database by name, with the standing of all these users: four queries."""
    if not wanted:
        return {}
    found = {it.name: it for it in Room.objects.filter(name__in=wanted, archived=False)}
    memberships = Membership.objects.current().filter(room__name__in=found, user__in=users)
    roles = {(it.room_id, it.user_id): it for it in memberships}
    groups_of_room, groups_of_user = defaultdict(set), defaultdict(set)
    through: Any = Room.groups.through.objects.filter(room__name__in=found)
    for room_id, group_id in through.values_list("room_id", "group_id"):
        groups_of_room[room_id].add(group_id)
    if hasattr(get_user_model(), "groups"):
        holders = get_user_model()._default_manager.filter(pk__in=users, groups__isnull=False)
        for user_id, group_id in holders.values_list("pk", "groups"):
            groups_of_user[user_id].add(group_id)
    for room in found.values():
        room.standings = {  # type: ignore[attr-defined]
            user_id: Standing(
                roles.get((room.pk, user_id)),
                not groups_of_room[room.pk].isdisjoint(groups_of_user[user_id]),
            )
            for user_id in users
        }
    return found


def _fresh(user: Any) -> Any:
    if isinstance(user, AnonymousUser):
        return AnonymousUser()
    return get_user_model()._default_manager.filter(pk=user.pk).first()

"""Computes rights from what is in the database. Blocks: to be called in a thread."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.contrib.auth.models import AnonymousUser

from .. import names
from ..authentication import Identity, users
from ..authentication.identity import has_own_rule, still_valid
from ..changes import changes
from ..codes import Error
from ..models import Room
from ..rooms.finding import AnyRoom
from ..rooms.room_types import find_in_code, is_personal
from . import own_rules
from .backend import refusal
from .queries import absent_room, find_room, find_rooms

GRANTED = ("join", "publish")


@dataclass(frozen=True, slots=True)
class Grant:
    """The rights of one connection in one room. `room` is None if there are none."""

    room: AnyRoom | None = None
    actions: frozenset[str] = frozenset()
    errors: Mapping[str, Error] | None = field(default=None, compare=False)
    """The errors with which hooks of the site have refused actions, if they have raised any."""
    version: int = field(default=-1, compare=False)
    """The `changes.version` before the grant was computed."""
    until: float | None = field(default=None, compare=False)
    """When the membership behind this grant expires, on the monotonic clock."""
    asked_at: float = field(default=0.0, compare=False)
    by_token: bool = field(default=False, compare=False)
    """Whether only a subscription token lets the connection in."""


NOTHING = Grant()


@dataclass(frozen=True, slots=True)
class Question:
    """Asks whether a connection may stay open, and for its rights in some rooms."""

    identity: Identity
    rooms: Collection[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """The reloaded user, None if the connection must be closed, and a grant for each room.

    What code of the site decides is left out: it is asked apart, so that it delays nobody else.
    """

    user: Any
    grants: dict[str, Grant] = field(default_factory=dict)
    apart: dict[str, AnyRoom | None] = field(default_factory=dict)
    """The rooms to call `ask_rules` for."""
    is_in_doubt: bool = False
    """Whether `is_still_valid` has to be called before anything of this answer is used."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was read to answer for a room. The site's code has to be asked with it."""

    user: Any
    room: AnyRoom | None
    version: int = -1
    asked_at: float = 0.0


def grant(identity: Identity, name: str) -> Grant:
    """Return the rights of `identity` in the room `name`.

    Takes one query for a room of the database, and one more if the user has changed since
    `identity` was made. Hooks and other backends may add their own.
    """
    if not names.is_room_name(name):
        return NOTHING
    user = identity.user
    if changes.is_stale(identity.version, identity.user_id):
        # Django caches permissions on the user object.
        user = reload_user(user, identity.manager)
    if user is None:
        return NOTHING
    return compute(identity, user, name, find_in_code(name) or find_room(user, name))


def read(identity: Identity, name: str) -> Grant | Found:
    """As `grant` for a room of the database, but leave the site's code to be asked."""
    user = identity.user
    if changes.is_stale(identity.version, identity.user_id):
        user = reload_user(user, identity.manager)
    if user is None:
        return NOTHING
    room = find_room(user, name)
    return Found(user, room) if own_rules.decide_on(room) else compute(identity, user, name, room)


def compute(identity: Identity, user: Any, name: str, room: AnyRoom | None) -> Grant:
    # The same rules run for a missing room, so that timing does not reveal which rooms exist.
    asked = room if room is not None else absent_room(user, name)
    refusals = {
        action: refusal(user, action, asked) for action in GRANTED if identity.permits(action, name)
    }
    actions = frozenset(action for action, error in refusals.items() if error is None)
    errors = {
        action: error
        for action, error in refusals.items()
        if error not in (None, Error.PERMISSION_DENIED)
    }
    if room is None or "join" not in actions:
        by_token = granted(identity, user, name, room)
        return replace(by_token, errors=errors) if errors else by_token
    return Grant(room, actions, errors=errors or None, until=_until(user, room))


def granted(identity: Identity, user: Any, name: str, room: AnyRoom | None) -> Grant:
    """What a subscription token of the connection gives: to join the room and read, whatever the
    rules say. The room has to exist, and the user to be active. No token opens a personal room."""
    if room is None or is_personal(room) or not user.is_active or not identity.is_granted(name):
        return NOTHING
    until = identity.granted_until(name)
    return Grant(room, frozenset({"join"}), until=until, by_token=True)


def _until(user: Any, room: AnyRoom) -> float | None:
    known = getattr(room, "users_in_room", {}).get(user.pk)
    membership = None if known is None else known.membership
    ends = None if membership is None else membership.expires_at
    # The clock of the day may be set back later, which must not lengthen a right.
    return None if ends is None else time.monotonic() + ends.timestamp() - time.time()


def reload_user(user: Any, manager: str = "") -> Any:
    """Return the user from the database, None if it no longer exists or the manager hides it."""
    if isinstance(user, AnonymousUser):
        return AnonymousUser()
    return users.manager(manager).filter(pk=user.pk).first()


def answer_all(questions: list[Question]) -> list[Answer]:
    found_users = _users_of(question.identity for question in questions)
    wanted = {name for question in questions for name in question.rooms if names.is_room_name(name)}
    user_ids = {user_id for of_manager in found_users.values() for user_id in of_manager}
    found = find_rooms({name for name in wanted if find_in_code(name) is None}, user_ids)
    return [_answer(question, found_users, found) for question in questions]


_UsersByManager = dict[str, dict[Any, Any]]


def _users_of(identities: Iterable[Identity]) -> _UsersByManager:
    """Return the users by manager and id: one query, or two if SimpleJWT has its own manager."""
    wanted: defaultdict[str, set[Any]] = defaultdict(set)
    for identity in identities:
        if identity.user.pk is not None:
            wanted[identity.manager].add(identity.user.pk)
    return {name: users.manager(name).in_bulk(list(ids)) for name, ids in wanted.items()}


def _answer(question: Question, found_users: _UsersByManager, found: dict[str, Room]) -> Answer:
    identity = question.identity
    user = found_users.get(identity.manager, {}).get(identity.user.pk)
    if identity.user.is_anonymous:
        user = AnonymousUser()
    is_in_doubt = user is not None and has_own_rule() and not identity.user.is_anonymous
    if not is_in_doubt and not still_valid(identity, user):
        return Answer(None)
    answer = Answer(user, is_in_doubt=is_in_doubt)
    for name in question.rooms:
        room = find_in_code(name) or found.get(name)
        if own_rules.decide_on(room):
            answer.apart[name] = room
        else:
            answer.grants[name] = compute(identity, user, name, room)
    return answer

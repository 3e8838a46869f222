"""Grants: the rights of a connection in a room, cached until a change."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError

from .. import names
from ..authentication import Identity, users
from ..authentication.identity import still_valid
from ..changes import changes
from ..codes import Error
from ..concurrency import threads
from ..concurrency.batching import BatchedLookup
from ..conf import realtime_settings
from ..databases import reads_up_to_date
from ..exceptions import LayerUnavailable
from ..models import Room
from ..rooms.finding import AnyRoom
from ..rooms.room_types import find_in_code
from .backend import refusal
from .queries import absent_room, find_room, find_rooms

logger = logging.getLogger("realtime.grants")

Result = TypeVar("Result")

GRANTED = ("join", "publish")
MOST_KNOWN = 20_000


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
    """Unix time in seconds at which the membership behind this grant expires."""
    asked_at: float = field(default=0.0, compare=False)


NOTHING = Grant()


@dataclass(frozen=True, slots=True)
class Question:
    """Asks whether a connection may stay open, and for its rights in some rooms."""

    identity: Identity
    rooms: Collection[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """The reloaded user, None if the connection must be closed, and a grant for each room."""

    user: Any
    grants: dict[str, Grant] = field(default_factory=dict)


# From the database


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
    return _grant(identity, user, name, find_in_code(name) or find_room(user, name))


def _grant(identity: Identity, user: Any, name: str, room: AnyRoom | None) -> Grant:
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
        return Grant(errors=errors) if errors else NOTHING
    return Grant(room, actions, errors=errors or None, until=_until(user, room))


def _until(user: Any, room: AnyRoom) -> float | None:
    known = getattr(room, "users_in_room", {}).get(user.pk)
    membership = None if known is None else known.membership
    ends = None if membership is None else membership.expires_at
    return None if ends is None else ends.timestamp()


def reload_user(user: Any, manager: str = "") -> Any:
    """Return the user from the database, None if it no longer exists or the manager hides it."""
    if isinstance(user, AnonymousUser):
        return AnonymousUser()
    return users.manager(manager).filter(pk=user.pk).first()


def _answer_all(questions: list[Question]) -> list[Answer]:
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
    if not still_valid(identity, user):
        return Answer(None)
    grants = {}
    for name in question.rooms:
        room = find_in_code(name) or found.get(name)
        grants[name] = _grant(identity, user, name, room)
    return Answer(user, grants)


# Off the event loop, batched and cached


async def review(questions: list[Question]) -> list[Answer]:
    """Answer many questions with few queries, without the cache.

    Raises `LayerUnavailable` if the database does not answer. A rule that times out denies the one
    question that needs it, and no other.
    """
    try:
        return await _in_time(_answer_all, questions)
    except TimeoutError:
        if len(questions) > 1:
            return [answer for question in questions for answer in await review([question])]
        logger.error("the rules of a room timed out; access is denied")
        return [
            Answer(question.identity.user, dict.fromkeys(question.rooms, NOTHING))
            for question in questions
        ]


async def agrant(identity: Identity, name: str) -> Grant:
    """As `grant`, off the event loop and cached. A rule that times out denies.

    The grant of a user in a room of the database is cached until the user or the room changes, for
    `RECHECK_SECONDS` at most. Raises `LayerUnavailable` if the database does not answer.
    """
    key = _key(identity, name)
    known = _known.get(key)
    if known is not None and _is_current(known, identity, name):
        return known
    if not names.is_room_name(name):
        return NOTHING
    if find_in_code(name) is not None:
        # A slow hook of the site must not delay the others of a batch.
        return await _ask_alone((identity, name))
    answer = await _lookups.ask(key, (identity, name))
    if answer.room is not None and changes.version >= 0:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[key] = answer
    return answer


async def prepare(identity: Identity, wanted: Collection[str]) -> None:
    """Fill the cache for several rooms with one batch of queries."""
    in_database = [name for name in wanted if find_in_code(name) is None]
    if len(in_database) > 1:
        await asyncio.gather(*(agrant(identity, name) for name in in_database))


_Key = tuple[str, str, "frozenset[str] | None"]
_known: dict[_Key, Grant] = {}


def _key(identity: Identity, name: str) -> _Key:
    return identity.user_id, name, identity.scopes


def _is_current(known: Grant, identity: Identity, name: str) -> bool:
    now = time.time()
    return (
        not changes.is_stale(known.version, identity.user_id, name)
        and known.asked_at + realtime_settings.RECHECK_SECONDS > now
        and (known.until is None or known.until > now)
    )


_Asked = tuple[Identity, str]


async def _ask_together(asked: list[_Asked]) -> list[Grant | Exception]:
    if len(asked) == 1:
        return [await _ask_alone(asked[0])]
    version, asked_at = changes.version, time.time()
    try:
        answers = await _in_time(
            _answer_all, [Question(identity, [name]) for identity, name in asked]
        )
    except TimeoutError:
        return await asyncio.gather(*map(_ask_alone, asked), return_exceptions=True)  # type: ignore[return-value]
    found = [
        answer.grants.get(name, NOTHING) for answer, (_, name) in zip(answers, asked, strict=True)
    ]
    return [replace(answer, version=version, asked_at=asked_at) for answer in found]


async def _ask_alone(asked: _Asked) -> Grant:
    version, asked_at = changes.version, time.time()
    try:
        answer = await _in_time(grant, *asked)
    except TimeoutError:
        logger.error("the rules of a room timed out; access is denied")
        return NOTHING
    return replace(answer, version=version, asked_at=asked_at)


async def _in_time(function: Callable[..., Result], *args: Any) -> Result:
    try:
        async with threads.timeout():
            return await threads.run_in_thread(reads_up_to_date(function), *args)
    except DatabaseError as error:
        logger.error("the rights could not be read from the database: %s", type(error).__name__)
        raise LayerUnavailable("the database does not answer") from error


_lookups: BatchedLookup[_Asked, Grant] = BatchedLookup(_ask_together)

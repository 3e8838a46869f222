"""Grants: the rights of a connection in a room, cached until a change."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, TypeVar

from django.db import DatabaseError

from .. import names
from ..authentication import Identity
from ..authentication.identity import still_valid
from ..changes import changes
from ..concurrency import threads
from ..concurrency.batching import BatchedLookup
from ..concurrency.pools import PoolBusy, TookTooLong
from ..conf import realtime_settings
from ..databases import reads_up_to_date
from ..exceptions import LayerUnavailable
from ..metrics import metrics
from ..rooms.finding import AnyRoom
from ..rooms.room_types import CodeRoom, find_in_code
from ..sparse_log import SparseLogs
from . import own_rules
from .answers import NOTHING as NOTHING
from .answers import Answer as Answer
from .answers import Found, answer_all, compute, granted, read, reload_user
from .answers import Grant as Grant
from .answers import Question as Question
from .answers import grant as grant

logger = logging.getLogger("realtime.grants")

Result = TypeVar("Result")

MOST_KNOWN = 20_000


async def review(questions: list[Question]) -> list[Answer]:
    """Answer many questions with few queries, without the cache and without code of the site.

    Raises `LayerUnavailable` if the database does not answer in time.
    """
    return await _in_time(answer_all, questions)


async def is_still_valid(identity: Identity, user: Any) -> bool:
    """Ask the site's `USER_AUTHENTICATION_RULE` about a user that was just read. An error or a
    time-out means no.

    Raises `LayerUnavailable` if the database does not answer.
    """
    try:
        return await own_rules.ask(still_valid, identity, user, rule=_RULE_OF_USERS, patience=None)
    except TookTooLong:
        return False
    except LayerUnavailable:
        raise
    except Exception:
        _failures.of(_RULE_OF_USERS).error("%s raised; denied", _RULE_OF_USERS, exc_info=True)
        return False


async def ask_rules(
    identity: Identity, user: Any, name: str, room: AnyRoom | None, patience: float | None = None
) -> Grant:
    """Ask rules that are code of the site, for one room. Those that take longer than
    `RIGHTS_SECONDS` deny.

    Raises `LayerUnavailable` if they can't be answered now: the database that they need does not
    answer, or they were not begun in `patience` seconds.
    """
    rule = own_rules.name_of(room)
    try:
        asked = (identity, user, name, room)
        return await own_rules.ask(compute, *asked, rule=rule, patience=patience)
    except TookTooLong:
        return granted(identity, user, name, room)


async def agrant(identity: Identity, name: str) -> Grant:
    """As `grant`, off the event loop and cached. A rule that times out denies.

    The grant of a user in a room of the database is cached until the user or the room changes, for
    `RECHECK_SECONDS` at most. Raises `LayerUnavailable` if it is not known now: the database does
    not answer, or the rule has to wait for too long.
    """
    key = _key(identity, name)
    known = _known.get(key)
    if known is not None and _is_current(known, identity, name):
        return known
    if not names.is_room_name(name):
        return NOTHING
    began_at = time.monotonic()
    try:
        return await _look_up(key, identity, name)
    finally:
        metrics.right_seconds.observe(time.monotonic() - began_at)


async def _look_up(key: _Key, identity: Identity, name: str) -> Grant:
    in_code = find_in_code(name)
    if in_code is not None:
        found = await _with_current_user(identity, in_code)
        if own_rules.decide_on(in_code):
            return await _ask_site(identity, name, found)
        if found.user is None:
            return NOTHING
        answer = compute(identity, found.user, name, in_code)
        return replace(answer, version=found.version, asked_at=found.asked_at)
    looked_up = await _lookups.ask(key, (identity, name))
    if isinstance(looked_up, Found):
        answer = await _ask_site(identity, name, looked_up)
    else:
        answer = looked_up
    if answer.room is not None and changes.version >= 0:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[key] = answer
    return answer


async def prepare(identity: Identity, wanted: Collection[str]) -> None:
    """Fill the cache for several rooms with one batch of queries. What is not known now is left
    out."""
    in_database = [name for name in wanted if find_in_code(name) is None]
    if len(in_database) > 1:
        asked = (agrant(identity, name) for name in in_database)
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, LayerUnavailable):
                raise outcome


_Key = tuple[str, str, "frozenset[str] | None", float | None]
_known: dict[_Key, Grant] = {}


def forget() -> None:
    """Empty the cache of grants."""
    _known.clear()


def _key(identity: Identity, name: str) -> _Key:
    return identity.user_id, name, identity.scopes, identity.granted_until(name)


def _is_current(known: Grant, identity: Identity, name: str) -> bool:
    now = time.monotonic()
    return (
        not changes.is_stale(known.version, identity.user_id, name)
        and known.asked_at + realtime_settings.RECHECK_SECONDS > now
        and (known.until is None or known.until > now)
    )


_Asked = tuple[Identity, str]


async def _ask_together(asked: list[_Asked]) -> list[Grant | Found | Exception]:
    version, asked_at = changes.version, time.monotonic()
    answers: list[Grant | Found]
    if len(asked) == 1:
        answers = [await _in_time(read, *asked[0])]
    else:
        questions = [Question(identity, [name]) for identity, name in asked]
        reviewed = await _in_time(answer_all, questions)
        answers = [
            Found(answer.user, answer.apart[name])
            if name in answer.apart
            else answer.grants.get(name, NOTHING)
            for answer, (_, name) in zip(reviewed, asked, strict=True)
        ]
    return [replace(answer, version=version, asked_at=asked_at) for answer in answers]


async def _with_current_user(identity: Identity, room: CodeRoom) -> Found:
    version, asked_at = changes.version, time.monotonic()
    user = identity.user
    if changes.is_stale(identity.version, identity.user_id):
        # Django caches permissions on the user object.
        user = await _in_time(reload_user, user, identity.manager)
    return Found(user, room, version, asked_at)


async def _ask_site(identity: Identity, name: str, found: Found) -> Grant:
    if found.user is None:
        return NOTHING
    patience = realtime_settings.RIGHTS_SECONDS
    answer = await ask_rules(identity, found.user, name, found.room, patience)
    return replace(answer, version=found.version, asked_at=found.asked_at)


async def _in_time(function: Callable[..., Result], *args: Any) -> Result:
    try:
        return await threads.run_in_thread(reads_up_to_date(function), *args)
    except (DatabaseError, TookTooLong, PoolBusy) as error:
        _failures.of("").error(
            "the rights could not be read from the database: %s", type(error).__name__
        )
        raise LayerUnavailable("the database does not answer") from error


_RULE_OF_USERS = "USER_AUTHENTICATION_RULE"
_failures = SparseLogs(logger)
_lookups: BatchedLookup[_Asked, Grant | Found] = BatchedLookup(_ask_together)

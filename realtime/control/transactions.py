"""The changes of a transaction, which are announced once, together, after its commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from weakref import ref

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ..databases import on_commit
from ..models import Room
from .messages import Audience, Recheck

MOST_ANNOUNCED = 1_000
MOST_USERS_OF_A_ROOM = 100
NAMES_AT_ONCE = 500

Key = tuple[str | None, str | int | None]


@dataclass(frozen=True, slots=True)
class Change:
    """Rights may have changed: of a user, of a room, of a user in a room, or with None of all.

    A room is given by its name, or by its primary key if the name is not at hand.
    """

    user: str | None = None
    room: str | int | None = None
    audience: Audience = Audience.EVERYONE
    may_lock_out: bool = True
    """Whether somebody may have lost access: what was said in between is not replayed to them."""
    own: list[str] = field(default_factory=list)
    password: str = ""
    rehashed: str = ""

    def message(self, room: str | None) -> Recheck:
        return Recheck(
            *(self.user, room, self.own, self.password, self.audience),
            rehashed=self.rehashed,
            locks_out=self.may_lock_out,
        )


Announce = Callable[[list[Recheck], list[Recheck]], None]
"""Takes the changes of a transaction, and those of them that may have locked somebody out."""


def after_commit(call: Callable[[], None], using: str | None = None) -> None:
    """Call `call` after the commit of the running transaction, or now if there is none.

    An exception of `call` is logged and does not reach the request, whose data is saved.
    """
    connection = transaction.get_connection(using)
    is_open = connection.connection is not None
    if connection.in_atomic_block or (is_open and connection.get_autocommit()):
        on_commit(call, using, True)
    else:
        # There is no transaction, perhaps not even a database: `default` may be empty. Or the site
        # commits by hand, and nothing reports when it does.
        call()


def announce_together(change: Change, using: str | None, announce: Announce) -> None:
    """Pass `change` to `announce` after the commit, with the other changes of the transaction.

    The first callback that runs announces them all, also those of a savepoint that was rolled back:
    rights are then computed again for nothing, which changes nothing.
    """
    connection = transaction.get_connection(using)
    # Only the callbacks hold it: with a rollback, Django drops them all.
    pending = connection.__dict__.get("_realtime_changes", _nothing)()
    if pending is None:
        pending = ChangeSet()
        connection.__dict__["_realtime_changes"] = ref(pending)
    pending.add(change)
    after_commit(partial(_announce_all, pending, connection, announce), using)


def announce_first(using: str | None, announce: Announce) -> None:
    """Pass what waits for the commit that runs now to `announce`, before anything else is sent."""
    connection = transaction.get_connection(using)
    pending = connection.__dict__.get("_realtime_changes", _nothing)()
    if pending is not None:
        _announce_all(pending, connection, announce)


def _nothing() -> None: ...


def _announce_all(pending: ChangeSet, connection: BaseDatabaseWrapper, announce: Announce) -> None:
    changes = pending.take()
    if changes:
        names = _room_names(connection, changes)
        named = [(change, _named(change, names)) for change in changes]
        announce(
            [message for _, message in named],
            [message for change, message in named if change.may_lock_out],
        )


def _room_names(connection: BaseDatabaseWrapper, changes: list[Change]) -> dict[int, str]:
    keys = list({change.room for change in changes if isinstance(change.room, int)})
    rooms = Room._base_manager.using(connection.alias)
    names: dict[int, str] = {}
    try:
        for start in range(0, len(keys), NAMES_AT_ONCE):
            asked = rooms.filter(pk__in=keys[start : start + NAMES_AT_ONCE])
            names |= dict(asked.values_list("pk", "name"))
    except DatabaseError:
        pass  # their changes become changes of all rooms of the user
    return names


def _named(change: Change, names: dict[int, str]) -> Recheck:
    room = change.room
    return change.message(names.get(room) if isinstance(room, int) else room)


class ChangeSet:
    """Changes that are merged. Very many become changes of whole rooms, or one change of all."""

    def __init__(self) -> None:
        self._changes: dict[Key, Change] = {}

    def add(self, change: Change) -> None:
        key = change.user, change.room
        known = self._changes.get(key)
        self._changes[key] = change if known is None else _merged(known, change)
        if len(self._changes) > MOST_ANNOUNCED:
            self._collapse()

    def take(self) -> list[Change]:
        """Return all changes, and forget them."""
        taken = list(self._changes.values())
        self._changes = {}
        return taken

    def _collapse(self) -> None:
        changes = self.take()
        users = Counter(change.room for change in changes)
        for change in changes:
            # A change of the password stays with its user.
            is_crowded = users[change.room] > MOST_USERS_OF_A_ROOM and not change.password
            wider = replace(change, user=None) if is_crowded else change
            self._changes[wider.user, wider.room] = wider
        if len(self._changes) > MOST_ANNOUNCED:
            self._changes = {(None, None): Change()}


def _merged(one: Change, other: Change) -> Change:
    return replace(
        other,
        audience=max(one.audience, other.audience),
        may_lock_out=one.may_lock_out or other.may_lock_out,
        own=other.own or one.own,
        password=other.password or one.password,
        rehashed=_rehashed(one, other),
    )


def _rehashed(one: Change, other: Change) -> str:
    """Return the hash before both, unless one of them stored another password."""
    if any(change.password and not change.rehashed for change in (one, other)):
        return ""
    return one.rehashed or other.rehashed

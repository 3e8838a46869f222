"""The rows that a transaction has touched, which are published once, after its commit."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from weakref import ref

from django.db import transaction

from ..control.transactions import after_commit
from .declared import Row
from .delivery import publish_rows

_KEY = "_realtime_touched"


class _Touch:
    """One save or deletion. Django's list of what to do after the commit holds it: if its savepoint
    is rolled back, it is gone."""

    __slots__ = ("__weakref__", "before", "row")

    def __init__(self, row: Row, before: Collection[str]) -> None:
        self.row = row
        self.before = before


class _Touched:
    """The saves and deletions of a transaction, in their order."""

    def __init__(self) -> None:
        self.touches: list[ref[_Touch]] = []

    def take(self) -> dict[Row, Collection[str]]:
        """Return the rows with the rooms that they had before the transaction, and forget them."""
        rows: dict[Row, Collection[str]] = {}
        for touch in filter(None, (known() for known in self.touches)):
            rows.setdefault(touch.row, touch.before)
        self.touches = []
        return rows


def touch(row: Row, before: Collection[str]) -> None:
    """Publish a row after the commit. `before`: the rooms that it had, none for a new row."""
    connection = transaction.get_connection(row.using)
    touched = connection.__dict__.get(_KEY, _nothing)()
    if touched is None:
        touched = _Touched()
        connection.__dict__[_KEY] = ref(touched)
    this = _Touch(row, before)
    touched.touches.append(ref(this))
    after_commit(partial(_publish, touched, this), row.using)


def _nothing() -> None: ...


def _publish(touched: _Touched, touch: _Touch) -> None:
    """The first one that runs after the commit publishes all."""
    rows = touched.take()
    if rows:
        publish_rows(rows)

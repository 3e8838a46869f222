"""Remembers what a row held when it was loaded, so that a save can be compared without a query."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db.models import Model

_KEY = "_realtime_loaded"


class _Unknown:
    """Stands for the value of a field that was not loaded."""


UNKNOWN: Any = _Unknown
"""The class itself: it stays the same if a row is copied deeply or pickled."""


class LoadedValues:
    """The values of some columns of a model, as each instance was loaded or saved last."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = columns

    def remember(self, instance: Model) -> None:
        """Called when an instance has been loaded. Reads no deferred field."""
        held = instance.__dict__
        held[_KEY] = tuple([held.get(column, UNKNOWN) for column in self.columns])

    def remember_saved(self, instance: Model, written: Collection[str] | None) -> None:
        """Called when a save has written some columns, or all."""
        before, now = self.before(instance), instance.__dict__
        now[_KEY] = tuple(
            [
                (now if written is None or column in written else before).get(column, UNKNOWN)
                for column in self.columns
            ]
        )

    def before(self, instance: Model) -> dict[str, Any]:
        """Return what the row held, without the columns that were not loaded."""
        pairs = zip(self.columns, instance.__dict__.get(_KEY, ()), strict=False)
        return {column: value for column, value in pairs if value is not UNKNOWN}

    def changed(self, instance: Model, written: Collection[str] | None) -> set[str]:
        """Return the columns that a save may have changed. `written`: those that it wrote, None for
        all that are loaded. A column that was not loaded before counts as changed."""
        before, now = self.before(instance), instance.__dict__
        return {
            column
            for column in self.columns
            if (written is None or column in written)
            and column in now
            and (column not in before or before[column] != now[column])
        }


def columns_of(model: type[Model], update_fields: Collection[str] | None) -> set[str] | None:
    """Return the columns of fields: `update_fields` may have `room` or `room_id`."""
    if update_fields is None:
        return None
    fields = [field for field in model._meta.concrete_fields if field.name in update_fields]
    return {field.attname for field in fields} | set(update_fields)

"""What the models of the site broadcast."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from django.db.models import Model

from ..sparse_log import SparseLogs
from .names import RoomNames

logger = logging.getLogger("realtime.broadcasting")
_unnamed = SparseLogs(logger)


@dataclass(frozen=True, eq=False, slots=True)
class Broadcast:
    """What one `@broadcasts` declares; its parameters are described there."""

    model: type[Model]
    rooms: RoomNames
    fields: tuple[str, ...] = ()
    serializer: str | Callable[[Any], Any] | None = None
    template: str | None = None
    target: str | None = None
    into: str | None = None
    insert: Literal["append", "prepend"] = "append"

    def __str__(self) -> str:
        return f"@broadcasts({self.rooms}) on {self.model._meta.label}"

    def table_of(self, model: type[Model]) -> type[Model]:
        """Return the model that rows are read as: the one of the decorator, or of an abstract one
        the first that has a table."""
        tables = [
            each
            for each in model.__mro__
            if issubclass(each, self.model) and not each._meta.abstract and not each._meta.proxy
        ]
        return tables[-1] if tables else self.model

    def rooms_of(self, row: Model) -> list[str]:
        """Return the rooms of a row; none, and a line in the log, if they can't be named."""
        try:
            return self.rooms.of(row)
        except Exception:
            # A save asks for them before and after it.
            _unnamed.of(self).error(
                *("%s: the rooms of the row %s could not be named", self, row.pk), exc_info=True
            )
            return []


class Row(NamedTuple):
    """A row of a model, for one of its broadcasts."""

    broadcast: Broadcast
    model: type[Model]
    using: str
    pk: Any


declared: list[Broadcast] = []
"""All broadcasts of the site, in the order of their declaration."""

_watchers: list[Callable[[Broadcast], None]] = []


def declare(broadcast: Broadcast) -> None:
    declared.append(broadcast)
    for watch in _watchers:
        watch(broadcast)


def on_declared(watch: Callable[[Broadcast], None]) -> None:
    """Call `watch` with each broadcast, also with those that are declared later."""
    if watch not in _watchers:  # the apps may be loaded again
        _watchers.append(watch)
    for broadcast in declared:
        watch(broadcast)


def row_of(broadcast: Broadcast, instance: Model, using: str) -> Row:
    return Row(broadcast, broadcast.table_of(type(instance)), using, instance.pk)


def broadcasts_of(model: type[Model]) -> list[Broadcast]:
    """Return what is declared on a model, and on its parents."""
    return [broadcast for broadcast in declared if issubclass(model, broadcast.model)]

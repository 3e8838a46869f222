"""`broadcast(...)`: for changes of rows that Django reports by no signal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Model

from ..concurrency.threads import refuse_on_event_loop
from .declared import broadcasts_of, row_of
from .touched import touch


def broadcast(rows: Model | Iterable[Model], *, created: bool = False) -> None:
    """Publish rows as their `@broadcasts` say, after the commit, each once.

    For `QuerySet.update()`, `bulk_update()`, `bulk_create()`, `_raw_delete()`, raw SQL, and changes
    of many-to-many relations, which send no signals of a save. `rows` are instances, or a queryset.
    With `created` they are new. A row that is not stored any more is reported as deleted.

        orders = list(Order.objects.filter(paid=True))
        Order.objects.filter(pk__in=[order.pk for order in orders]).update(status="sent")
        broadcast(orders)

    The rooms of the instances are those that the rows had before.
    """
    refuse_on_event_loop("broadcast")
    for row in [rows] if isinstance(rows, Model) else rows:
        _broadcast(row, created)


def _broadcast(row: Model, created: bool) -> None:
    found = broadcasts_of(type(row))
    if not found:
        raise TypeError(f"{row._meta.label} has no @broadcasts: say what to send.")
    if row.pk is None:
        raise ValueError(
            "A row without a primary key can't be broadcast: after bulk_create() read the rows."
        )
    using: Any = row._state.db or type(row)._default_manager.db
    for each in found:
        touch(row_of(each, row, using), [] if created else each.rooms_of(row))

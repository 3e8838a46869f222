"""Publishes rows as they are after the commit, to the rooms in which somebody may see them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping

from django.db.models import Model

from ..exceptions import LayerUnavailable
from ..layers import get_layer
from ..rooms.publications import retention
from ..rooms.room_types import find_in_code
from ..server_api.publishing import publish_body
from .declared import Row
from .messages import Event, bodies

logger = logging.getLogger("realtime.broadcasting")

ROWS_AT_ONCE = 500

Rows = Mapping[Row, Collection[str]]
"""Rows, with the rooms that each had before."""


def publish_rows(rows: Rows) -> None:
    """Publish rows. Raises nothing: the request has done its work."""
    try:
        _publish(rows)
    except LayerUnavailable as error:
        logger.warning(
            "changes of %d rows were not broadcast after the commit: %s", len(rows), error
        )
    except Exception:
        logger.exception("changes of %d rows were not broadcast after the commit", len(rows))


def _publish(rows: Rows) -> None:
    now = _read(rows)
    events: list[tuple[Row, str, Event]] = []
    for row, before in rows.items():
        stored = now.get(row)
        after = [] if stored is None else row.broadcast.rooms_of(stored)
        events += [(row, room, event) for room, event in _events(before, after)]
    heard = _heard({room for _, room, _ in events})
    made: dict[tuple[Row, Event], list[bytes]] = {}
    for row, room, event in events:
        if room not in heard:
            continue
        if (row, event) not in made:
            made[row, event] = _bodies(row, event, now.get(row))
        for body in made[row, event]:
            _send(row, room, body)


def _read(rows: Rows) -> dict[Row, Model]:
    """Return the rows that exist, as they are in the database."""
    together: dict[tuple[type[Model], str], list[Row]] = {}
    for row in rows:
        together.setdefault((row.model, row.using), []).append(row)
    found: dict[Row, Model] = {}
    for (model, using), group in together.items():
        manager = model._base_manager.using(using)
        for start in range(0, len(group), ROWS_AT_ONCE):
            part = group[start : start + ROWS_AT_ONCE]
            stored = {each.pk: each for each in manager.filter(pk__in={row.pk for row in part})}
            found.update((row, stored[row.pk]) for row in part if row.pk in stored)
    return found


def _events(before: Collection[str], after: Collection[str]) -> Iterator[tuple[str, Event]]:
    for room in before:
        if room not in after:
            yield room, "deleted"
    for room in after:
        yield room, "changed" if room in before else "created"


def _heard(rooms: Collection[str]) -> set[str]:
    """Return the rooms in which a message may be seen: those that keep it, for members who come
    back and pages that are being loaded, and those that somebody is in."""
    silent = set()
    for room in rooms:
        in_code = find_in_code(room)
        if in_code is not None and not retention(in_code).keeps:
            silent.add(room)
    return (set(rooms) - silent) | (get_layer().heard_sync(silent) if silent else set())


def _bodies(row: Row, event: Event, stored: Model | None) -> list[bytes]:
    broadcast = row.broadcast
    try:
        return bodies(broadcast, event, stored or row.model(pk=row.pk))
    except Exception as error:
        logger.exception(
            "%s: the row %s is not broadcast, because %s. It was rendered without a request:"
            " a serializer or a template that needs one can't be used here.",
            *(broadcast, row.pk, type(error).__name__),
        )
        return []


def _send(row: Row, room: str, body: bytes) -> None:
    try:
        publish_body(room, body, on_commit=False)
    except LayerUnavailable:
        raise
    except Exception as error:
        logger.error("%s: the row %s was not sent to %r: %s", row.broadcast, row.pk, room, error)

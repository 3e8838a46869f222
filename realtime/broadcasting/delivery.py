"""Publishes rows as they are after the commit, to the rooms in which somebody may see them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping

from django.db.models import Model

from ..exceptions import InvalidRoomName, LayerUnavailable, UnknownRoom
from ..layers import get_layer
from ..layers.base import Append
from ..names import check_name
from ..rooms.publications import Retention
from ..server_api.outgoing import send_together
from ..server_api.targets import retention_of
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
    heard = _heard(dict.fromkeys(room for _, room, _ in events))
    made: dict[tuple[Row, Event], list[bytes]] = {}
    appends: list[Append] = []
    for row, room, event in events:
        if room not in heard:
            continue
        if (row, event) not in made:
            made[row, event] = _bodies(row, event, now.get(row))
        appends += [Append(room, body, heard[room]) for body in made[row, event]]
    send_together(appends, {row.using for row in rows})


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


def _heard(rooms: Collection[str]) -> dict[str, Retention]:
    """Return the rooms in which a message may be seen: those that keep it, for members who come
    back and pages that are being loaded, and those that somebody is in."""
    known: dict[str, Retention] = {}
    for room in rooms:
        try:
            check_name(room)
            known[room] = retention_of(room)
        except (InvalidRoomName, UnknownRoom) as error:
            logger.error("a row is not broadcast to %r: %s", room, error)
    silent = [room for room, retention in known.items() if not retention.keeps]
    unheard = set(silent) - (get_layer().heard_sync(silent) if silent else set())
    return {room: retention for room, retention in known.items() if room not in unheard}


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

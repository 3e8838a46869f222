"""Reads the history and presence of rooms from server code. Rights are not checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from ..concurrency.threads import refuse_on_event_loop
from ..conf import realtime_settings
from ..layers import get_layer
from ..layers.pages import read_page, read_page_sync
from ..layers.records import Attendance, Page
from ..names import check_name
from ..rooms.payloads import decode
from ..rooms.publications import ClientInfo, Position, Publication

_decode_info = msgspec.json.Decoder(ClientInfo).decode


@dataclass(frozen=True, slots=True)
class Message:
    """A publication. `user` is the id of the publisher as text, None for the server; `info` is the
    public profile of that user."""

    offset: int
    data: Any
    user: str | None
    info: Any


@dataclass(frozen=True, slots=True)
class History:
    """Kept publications of a room, and its position when they were read."""

    position: Position
    messages: list[Message]


@dataclass(frozen=True, slots=True)
class Person:
    """A user in a room, with one or more connections."""

    user: str
    info: Any
    connections: int


def history(
    room: str,
    *,
    limit: int | None = None,
    since: Position | None = None,
    reverse: bool = False,
) -> History:
    """Return the room's kept publications, oldest first, or newest first with `reverse`.

    Returns at most `limit` publications, and never more than `RECOVERY_MAX_MESSAGES`; fewer if they
    are larger than about twice `RECOVERY_MAX_BYTES`. Read the next page with
    `history(room, since=Position(page.position.epoch, page.messages[-1].offset))`.
    `limit=0` returns only the position.

    Raises `InvalidRoomName`, `LayerUnavailable`, and `ValueError` if `since` is from an old epoch.
    """
    refuse_on_event_loop("history")
    check_name(room)
    page = read_page_sync(
        get_layer(),
        room,
        since=since.offset if since else None,
        limit=_limit(limit),
        reverse=reverse,
    )
    return _history(page, since)


async def ahistory(
    room: str,
    *,
    limit: int | None = None,
    since: Position | None = None,
    reverse: bool = False,
) -> History:
    """As `history`, for coroutines."""
    check_name(room)
    page = await read_page(
        get_layer(),
        room,
        since=since.offset if since else None,
        limit=_limit(limit),
        reverse=reverse,
    )
    return _history(page, since)


def presence(room: str) -> list[Person]:
    """Return the signed-in users who are in the room, in all processes.

    Raises `InvalidRoomName` and `LayerUnavailable`.
    """
    refuse_on_event_loop("presence")
    check_name(room)
    return to_people(get_layer().presence_sync(room))


async def apresence(room: str) -> list[Person]:
    """As `presence`, for coroutines."""
    check_name(room)
    return to_people(await get_layer().presence(room))


def to_client_infos(attendance: Attendance) -> list[ClientInfo]:
    return [_decode_info(info) for info in attendance.infos]


def _limit(limit: int | None) -> int:
    most: int = realtime_settings.RECOVERY_MAX_MESSAGES
    return most if limit is None else max(0, min(limit, most))


def _history(page: Page, since: Position | None) -> History:
    if since is not None and since.epoch not in ("", page.position.epoch):
        raise ValueError(
            f"The position is from the epoch {since.epoch!r}, but the room has the new epoch "
            f"{page.position.epoch!r}, in which offsets start again at 1. Read without `since`."
        )
    return History(page.position, list(map(_message, page.publications)))


def _message(publication: Publication) -> Message:
    content = publication.content()
    info = None if content.info is msgspec.UNSET else content.info
    return Message(
        offset=publication.offset,
        data=decode(bytes(content.data)),
        user=None if info is None else info.user,
        info=None if info is None or info.conn_info is msgspec.UNSET else info.conn_info,
    )


def to_people(attendance: Attendance) -> list[Person]:
    people: dict[str, Person] = {}
    for info in to_client_infos(attendance):
        known = people.get(info.user)
        shown = None if info.conn_info is msgspec.UNSET else info.conn_info
        connections = 1 if known is None else known.connections + 1
        people[info.user] = Person(info.user, shown, connections)
    return list(people.values())

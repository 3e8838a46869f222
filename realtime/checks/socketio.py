"""The settings of Socket.IO: events, their rooms, and namespaces."""

from __future__ import annotations

from django.core.checks import CheckMessage, Error

from ..conf import realtime_settings
from ..names import is_room_name
from ..protocols.socketio_events import COMMANDS, OWN
from ..protocols.socketio_packets import RESERVED


def check_events() -> list[CheckMessage]:
    return [
        Error(
            f'REALTIME["SOCKETIO_EVENTS"] maps {event!r} to {room!r}: {problem}.',
            hint='Write an event and its room, such as {"chat message": "lobby"}.',
            id="realtime.E036",
        )
        for event, room in realtime_settings.SOCKETIO_EVENTS.items()
        if (problem := _problem(event, room))
    ]


def _problem(event: object, room: object) -> str:
    if not isinstance(event, str) or not event:
        return "the event is not a text"
    if event in COMMANDS or event in OWN or event in RESERVED:
        return "the event has a meaning of its own"
    return "" if is_room_name(room) else "this can't be the name of a room"


def check_namespaces() -> list[CheckMessage]:
    return [
        Error(
            f'REALTIME["SOCKETIO_NAMESPACES"] contains {name!r}, which is no namespace.',
            hint='Write names such as "/shop". The namespace "/" is always there.',
            id="realtime.E037",
        )
        for name in realtime_settings.SOCKETIO_NAMESPACES
        if not isinstance(name, str) or not name.strip("/") or "," in name
    ]

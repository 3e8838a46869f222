"""The endpoints that read the history and the presence of a room."""

from __future__ import annotations

import re
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from ..codes import Error
from ..conf import realtime_settings
from ..layers import get_layer
from ..rooms.publications import Position, retention
from ..server_api import reading
from . import shapes
from .access import RoomView
from .errors import RefusedRequest, bad_request
from .openapi import documented

_OFFSET = re.compile(r"[0-9]{1,15}\Z", re.ASCII)
_YES = ("1", "true", "yes")
_NO = ("", "0", "false", "no")

_HISTORY_QUERY: dict[str, tuple[type, str]] = {
    "limit": (int, "The most messages to return."),
    "since": (str, "Return what is after `<epoch>:<offset>`; with `reverse`, before it."),
    "reverse": (bool, "Newest first."),
}
_PRESENCE_QUERY: dict[str, tuple[type, str]] = {"stats": (bool, "Only the numbers.")}

_TOO_MANY = Error(Error.LIMIT_EXCEEDED.code, "too many to list; ask with ?stats=1")


class HistoryView(RoomView):
    """GET: the kept messages of a room, oldest first, or newest first with `reverse=1`."""

    @documented(shapes.HistoryPage, 400, 409, 410, 503, query=_HISTORY_QUERY)
    def get(self, request: Request, room: str) -> Response:
        query = request.query_params
        limit, since = _limit(query), _since(query)
        reverse = _flag(query, "reverse")
        _, found = self.require(request, "join", room)
        if not retention(found).keeps:
            raise RefusedRequest(Error.NOT_AVAILABLE)
        try:
            page = reading.history(found.name, limit=limit, since=since, reverse=reverse)
        except ValueError as error:
            raise RefusedRequest(Error.UNRECOVERABLE_POSITION) from error
        return Response(
            {
                "epoch": page.position.epoch,
                "offset": page.position.offset,
                "publications": [
                    {"offset": it.offset, "data": it.data, "user": it.user, "info": it.info}
                    for it in page.messages
                ],
            }
        )


class PresenceView(RoomView):
    """GET: who is in a room, by user; with `stats=1` only the numbers."""

    @documented(shapes.Present, 400, 409, 413, 503, query=_PRESENCE_QUERY)
    def get(self, request: Request, room: str) -> Response:
        only_numbers = _flag(request.query_params, "stats")
        _, found = self.require(request, "join", room)
        if not found.presence:
            raise RefusedRequest(Error.NOT_AVAILABLE)
        attendance = get_layer().presence_sync(found.name, infos=not only_numbers)
        answer: dict[str, Any] = {"clients": attendance.clients, "users": attendance.users}
        if not only_numbers:
            if attendance.clients > realtime_settings.PRESENCE_MAX_CLIENTS:
                raise RefusedRequest(_TOO_MANY)
            answer["people"] = [
                {"user": it.user, "info": it.info, "connections": it.connections}
                for it in reading.to_people(attendance)
            ]
        return Response(answer)


def _limit(query: Any) -> int | None:
    text = query.get("limit", "")
    if text and not _OFFSET.match(text):
        raise bad_request("limit is a whole number, 0 or more")
    return int(text) if text else None


def _since(query: Any) -> Position | None:
    text = query.get("since", "")
    if not text:
        return None
    epoch, colon, offset = text.rpartition(":")
    if not colon or not _OFFSET.match(offset):
        raise bad_request("since is an epoch, a colon and an offset")
    return Position(epoch, int(offset))


def _flag(query: Any, name: str) -> bool:
    text = query.get(name, "").lower()
    if text not in (*_YES, *_NO):
        raise bad_request(f"{name} is 1 or 0")
    return text in _YES

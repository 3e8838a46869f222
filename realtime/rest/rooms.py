"""The endpoint that lists the rooms of a user."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from ..authentication import Identity
from ..models import Room
from ..rights import queries
from ..rights.backend import may
from . import shapes
from .base import RealtimeView
from .openapi import documented


class RoomListView(RealtimeView):
    """GET: the rooms of the database that the user may enter, with the user's rights in each."""

    @documented(shapes.Rooms)
    def get(self, request: Request) -> Response:
        identity = self.identity(request)
        rooms = sorted(Room.objects.open_to(request.user), key=lambda room: str(room).lower())
        queries.read_users(rooms, [request.user.pk])
        listed = [(room, _rights(identity, room)) for room in rooms]
        return Response(
            {
                "rooms": [
                    {"name": room.name, "title": str(room), "access": room.access, "rights": may}
                    for room, may in listed
                    if may["join"]
                ]
            }
        )


def _rights(identity: Identity, room: Room) -> dict[str, bool]:
    return {
        action: may(identity.user, action, room) and identity.permits(action, room.name)
        for action in queries.ACTIONS
    }

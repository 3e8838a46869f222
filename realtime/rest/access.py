"""The base of the endpoints of one room: the rights in it are those on the socket."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.throttling import UserRateThrottle

from ..authentication import Identity
from ..codes import Error
from ..rights import grants
from ..rooms.finding import AnyRoom
from .base import RealtimeView
from .errors import RefusedRequest


class RoomThrottle(UserRateThrottle):
    """600 requests per minute and user. Set another rate in DRF's `DEFAULT_THROTTLE_RATES`."""

    scope = "realtime_rooms"

    def get_rate(self) -> str:
        return self.THROTTLE_RATES.get(self.scope) or "600/min"


class RoomView(RealtimeView):
    """An endpoint of one room."""

    throttle_classes = (RoomThrottle,)

    def require(self, request: Request, action: str, name: str) -> tuple[Identity, AnyRoom]:
        """Return the identity of the request and the room, if it may do `action` there.

        A room that does not exist and one that the user may not enter are refused alike.
        """
        identity = self.identity(request)
        grant = grants.grant(identity, name)
        if action not in grant.actions or grant.room is None:
            raise RefusedRequest((grant.errors or {}).get(action, Error.PERMISSION_DENIED))
        return identity, grant.room

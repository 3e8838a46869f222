"""The views behind `realtime.urls`."""

from __future__ import annotations

import secrets
from typing import Any

from rest_framework import status
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from ..authentication import Identity, django_sign_in
from ..authentication.identity import identity_from_claims
from ..authentication.refusals import ODD_CLAIMS
from ..authentication.tickets import identity_to_ticket
from ..conf import realtime_settings
from ..exceptions import AuthenticationError, LayerUnavailable
from ..layers import get_layer
from ..models import Room
from ..rights.backend import ACTIONS, may


class TicketThrottle(UserRateThrottle):
    """60 tickets a minute and person; another rate by DRF's `DEFAULT_THROTTLE_RATES`."""

    scope = "realtime_ticket"

    def get_rate(self) -> str:
        return self.THROTTLE_RATES.get(self.scope) or "60/min"


class _TokenAuthentication(JWTAuthentication):
    """As SimpleJWT's, which fails for tokens that are signed but odd: they are refused."""

    def authenticate(self, request: Request) -> Any:
        try:
            return super().authenticate(request)
        except ODD_CLAIMS as error:
            raise InvalidToken from error


class _RealtimeView(APIView):
    authentication_classes = (_TokenAuthentication, SessionAuthentication)
    permission_classes = (IsAuthenticated,)

    def identity(self, request: Request) -> Identity:
        """Who asks; a token narrows here as it does on a socket."""
        token: Any = request.auth
        if token is not None:
            try:
                return identity_from_claims(request.user, token.payload)
            except AuthenticationError as error:
                raise InvalidToken from error
        session = getattr(request, "session", None)
        sign_in = django_sign_in(getattr(session, "session_key", None))
        return Identity(request.user, session_id=sign_in)

    def finalize_response(self, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(*args, **kwargs)
        response["Cache-Control"] = "no-store"
        return response


class TicketView(_RealtimeView):
    """POST: a ticket that opens one WebSocket as this user, within `expires_in` seconds."""

    throttle_classes = (TicketThrottle,)

    def post(self, request: Request) -> Response:
        ticket = secrets.token_urlsafe(32)
        ttl = realtime_settings.TICKET_TTL_SECONDS
        kept = identity_to_ticket(self.identity(request))
        try:
            get_layer().store_ticket(ticket, kept, ttl)
        except LayerUnavailable:
            return Response(
                {"detail": "Tickets are not available just now. Try again.", "code": "unavailable"},
                status=status.HTTP_503_SERVICE_UNAVAILABLE,
            )
        return Response({"ticket": ticket, "expires_in": ttl})


class RoomListView(_RealtimeView):
    """GET: the rooms of the database that this user may enter, and what else may be done there."""

    def get(self, request: Request) -> Response:
        identity = self.identity(request)
        rooms = sorted(Room.objects.open_to(request.user), key=lambda room: str(room).lower())
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
        for action in ACTIONS
    }

"""The endpoint that gives single-use tickets."""

from __future__ import annotations

import secrets
import time

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle

from ..authentication.tickets import identity_to_ticket
from ..conf import realtime_settings
from ..exceptions import LayerUnavailable
from ..layers import get_layer
from . import shapes
from .base import RealtimeView
from .openapi import documented

TRIES = 8
TRY_SECONDS = 2.0


class TicketThrottle(UserRateThrottle):
    """60 tickets per minute and user. Set another rate in DRF's `DEFAULT_THROTTLE_RATES`."""

    scope = "realtime_ticket"

    def get_rate(self) -> str:
        return self.THROTTLE_RATES.get(self.scope) or "60/min"


class TicketView(RealtimeView):
    """POST: a ticket that opens one WebSocket as this user, within `expires_in` seconds."""

    throttle_classes = (TicketThrottle,)

    @documented(shapes.Ticket, 503)
    def post(self, request: Request) -> Response:
        ttl = realtime_settings.TICKET_TTL_SECONDS
        kept = identity_to_ticket(self.identity(request))
        try:
            ticket = _store(kept, ttl)
        except LayerUnavailable:
            return Response(
                {
                    "detail": "Tickets are unavailable just now. Try again.",
                    "code": "unavailable",
                },
                status=status.HTTP_503_SERVICE_UNAVAILABLE,
            )
        return Response({"ticket": ticket, "expires_in": ttl})


def _store(identity: bytes, ttl_seconds: int) -> str:
    """Store an identity and return its ticket. Of several Redis one that answers gets it: another
    ticket may belong to another one. Raises `LayerUnavailable`."""
    ends_at = time.monotonic() + TRY_SECONDS
    for tries_left in reversed(range(TRIES)):
        ticket = secrets.token_urlsafe(32)
        try:
            get_layer().store_ticket(ticket, identity, ttl_seconds)
        except LayerUnavailable:
            if not tries_left or time.monotonic() > ends_at:
                raise
        else:
            return ticket
    raise AssertionError("the last try returns or raises")

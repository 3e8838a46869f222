"""The endpoint that gives access tokens to the pages of a signed-in session."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.utils.module_loading import import_string
from jwt.exceptions import PyJWTError
from rest_framework import status
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle
from rest_framework_simplejwt.exceptions import TokenBackendError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken

from ..authentication import Identity, django_sessions, signing_keys
from ..conf import realtime_settings
from . import shapes
from .base import RealtimeView
from .openapi import documented


class SessionTokenThrottle(UserRateThrottle):
    """60 tokens per minute and user. Set another rate in DRF's `DEFAULT_THROTTLE_RATES`."""

    scope = "realtime_token"

    def get_rate(self) -> str:
        return self.THROTTLE_RATES.get(self.scope) or "60/min"


class TokenView(RealtimeView):
    """POST: an access token of the user of the Django session, for `expires_in` seconds.

    It carries the `sid` of the session, so that a sign-out ends its connections, and it never lives
    longer than the session. A page gets the next one with another POST. Django's CSRF check holds.
    """

    authentication_classes: Any = (SessionAuthentication,)
    throttle_classes = (SessionTokenThrottle,)

    @documented(shapes.Token, 404)
    def post(self, request: Request) -> Response:
        token = None if _come_from_elsewhere() else _token(self.identity(request))
        if token is None:
            return Response(
                {
                    "detail": "This site does not issue the tokens that it accepts. Connect with "
                    "the session or with a ticket.",
                    "code": "not_available",
                },
                status=status.HTTP_404_NOT_FOUND,
            )
        seconds, text = token
        return Response({"token": text, "expires_in": seconds})


def _come_from_elsewhere() -> bool:
    """Return whether tokens come from another issuer, or are of a kind of the site's own."""
    authenticator = import_string(realtime_settings.AUTHENTICATOR)
    takes_ours = getattr(authenticator, "takes_own_tokens", False)
    return not takes_ours or signing_keys.are_external()


def _token(identity: Identity) -> tuple[int, str] | None:
    """Return a token and its time in seconds; None if the site can't sign any."""
    seconds = api_settings.ACCESS_TOKEN_LIFETIME.total_seconds()
    if identity.session_key:
        end = django_sessions.ends([identity.session_key]).get(identity.session_key)
        if end is not None:
            seconds = min(seconds, max(1, end - time.time()))
    token = AccessToken.for_user(identity.user)
    token.set_exp(lifetime=timedelta(seconds=seconds))
    if identity.session_id:
        token["sid"] = identity.session_id
    try:
        return int(seconds), str(token)
    except (PyJWTError, TokenBackendError, TypeError, ValueError):
        return None

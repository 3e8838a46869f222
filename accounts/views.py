"""SimpleJWT's views to obtain, refresh, verify and blacklist tokens, throttled and not cached."""

from __future__ import annotations

from typing import Any

from rest_framework.settings import api_settings
from rest_framework.throttling import AnonRateThrottle
from rest_framework_simplejwt.views import (
    TokenBlacklistView,
    TokenObtainPairView,
    TokenRefreshView,
    TokenVerifyView,
)

from realtime.rest.base import NeverCached, OwnDefaults

from . import serializers


class TokenThrottle(AnonRateThrottle):
    """30 requests per minute and address. Set another rate in `DEFAULT_THROTTLE_RATES["token"]`.

    Behind proxies, the address is in `X-Forwarded-For`, at a place that DRF's `NUM_PROXIES` gives.
    """

    scope = "token"

    def get_ident(self, request: Any) -> Any:
        if api_settings.NUM_PROXIES is None:
            # DRF would take the whole header, in which a client writes what it likes.
            return request.META.get("REMOTE_ADDR")
        return super().get_ident(request)

    def get_rate(self) -> str:
        return self.THROTTLE_RATES.get(self.scope) or "30/min"


class _TokenView(OwnDefaults, NeverCached):
    throttle_classes = (TokenThrottle,)


class ObtainView(_TokenView, TokenObtainPairView):  # type: ignore[misc]
    """POST username and password; get an access and a refresh token."""

    serializer_class = serializers.ObtainSerializer


class RefreshView(_TokenView, TokenRefreshView):  # type: ignore[misc]
    """POST a refresh token; get a new pair. The old refresh token becomes invalid."""

    serializer_class = serializers.RefreshSerializer


class VerifyView(_TokenView, TokenVerifyView):  # type: ignore[misc]
    """POST a token; get 200 if it is valid, 401 if not."""

    serializer_class = serializers.VerifySerializer


class LogoutView(_TokenView, TokenBlacklistView):  # type: ignore[misc]
    """POST the refresh token; it is blacklisted, and the connections of its sign-in are closed."""

    serializer_class = serializers.LogoutSerializer

"""SimpleJWT's views to obtain, refresh, verify and blacklist tokens, throttled and not cached."""

from __future__ import annotations

from rest_framework.throttling import AnonRateThrottle
from rest_framework_simplejwt.views import (
    TokenBlacklistView,
    TokenObtainPairView,
    TokenRefreshView,
    TokenVerifyView,
)

from realtime.rest.base import NeverCached

from . import serializers


class TokenThrottle(AnonRateThrottle):
    """30 requests per minute and address. Set another rate in `DEFAULT_THROTTLE_RATES["token"]`."""

    scope = "token"

    def get_rate(self) -> str:
        return self.THROTTLE_RATES.get(self.scope) or "30/min"


class _TokenView(NeverCached):
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

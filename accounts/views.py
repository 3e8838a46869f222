"""Obtain, refresh, verify and give back tokens: SimpleJWT's views, throttled and never cached."""

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
    """By address. The rate is `DEFAULT_THROTTLE_RATES["token"]`."""

    scope = "token"

    def get_rate(self) -> str:
        return self.THROTTLE_RATES.get(self.scope) or "30/min"


class _TokenView(NeverCached):
    throttle_classes = (TokenThrottle,)


class ObtainView(_TokenView, TokenObtainPairView):  # type: ignore[misc]
    """POST username and password; get an access and a refresh token."""

    serializer_class = serializers.ObtainSerializer


class RefreshView(_TokenView, TokenRefreshView):  # type: ignore[misc]
    """POST a refresh token; get a new pair. The old refresh token works no more."""

    serializer_class = serializers.RefreshSerializer


class VerifyView(_TokenView, TokenVerifyView):  # type: ignore[misc]
    """POST a token; 200 where it is good, 401 where it isn't."""

    serializer_class = serializers.VerifySerializer


class LogoutView(_TokenView, TokenBlacklistView):  # type: ignore[misc]
    """POST the refresh token; from then on it and what it was rotated from are refused."""

    serializer_class = serializers.LogoutSerializer

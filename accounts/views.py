"""Obtain, refresh, verify and give back tokens: SimpleJWT's views, throttled and never cached."""

from __future__ import annotations

from typing import Any

from rest_framework.throttling import AnonRateThrottle
from rest_framework_simplejwt.views import (
    TokenBlacklistView,
    TokenObtainPairView,
    TokenRefreshView,
    TokenVerifyView,
)

from . import serializers


class TokenThrottle(AnonRateThrottle):
    """By address. The rate is `DEFAULT_THROTTLE_RATES["token"]`."""

    scope = "token"

    def get_rate(self) -> str:
        return self.THROTTLE_RATES.get(self.scope) or "30/min"


class _NeverCached:
    throttle_classes = (TokenThrottle,)

    def finalize_response(self, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(*args, **kwargs)  # type: ignore[misc]
        response["Cache-Control"] = "no-store"
        return response


class ObtainView(_NeverCached, TokenObtainPairView):  # type: ignore[misc]
    """POST username and password; get an access and a refresh token."""

    serializer_class = serializers.ObtainSerializer


class RefreshView(_NeverCached, TokenRefreshView):  # type: ignore[misc]
    """POST a refresh token; get a new pair. The old refresh token works no more."""

    serializer_class = serializers.RefreshSerializer


class VerifyView(_NeverCached, TokenVerifyView):  # type: ignore[misc]
    """POST a token; 200 where it is good, 401 where it isn't."""

    serializer_class = serializers.VerifySerializer


class LogoutView(_NeverCached, TokenBlacklistView):  # type: ignore[misc]
    """POST the refresh token; from then on it and what it was rotated from are refused."""

    serializer_class = serializers.LogoutSerializer

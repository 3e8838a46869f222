"""What all endpoints share: who asks, and that no answer is kept by a cache."""

from __future__ import annotations

from typing import Any

from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from ..authentication import Identity, django_sign_in
from ..authentication.identity import identity_from_claims
from ..authentication.refusals import ODD_CLAIMS
from ..exceptions import AuthenticationError


class _TokenAuthentication(JWTAuthentication):
    """As SimpleJWT's, which fails for tokens that are signed but odd: they are refused."""

    def authenticate(self, request: Request) -> Any:
        try:
            return super().authenticate(request)
        except ODD_CLAIMS as error:
            raise InvalidToken from error


class NeverCached:
    """An endpoint whose answers no cache keeps, because they hold credentials or rights."""

    def finalize_response(self, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(*args, **kwargs)  # type: ignore[misc]
        response["Cache-Control"] = "no-store"
        return response


class RealtimeView(NeverCached, APIView):
    """An endpoint for signed-in users, by token or by session."""

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

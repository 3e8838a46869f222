"""The base of all endpoints: it authenticates, forbids caching, and answers alike on every site."""

from __future__ import annotations

from typing import Any

from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from ..authentication import Identity, django_sign_in, verification
from ..authentication.identity import permitted
from ..databases import up_to_date_reads
from ..exceptions import AuthenticationError
from . import errors, openapi


class TokenAuthentication(JWTAuthentication):
    """Takes the tokens that open sockets, and asks the same authenticator about them."""

    def authenticate(self, request: Request) -> Any:
        header = self.get_header(request)
        raw_token = None if header is None else self.get_raw_token(header)
        if raw_token is None:
            return None
        try:
            identity = verification.authenticate_sync(raw_token.decode("latin-1"))
        except AuthenticationError as error:
            raise InvalidToken(error.reason) from error
        return identity.user, identity


class NeverCached:
    """An endpoint whose answers no cache keeps, because they hold credentials or rights."""

    def finalize_response(self, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(*args, **kwargs)  # type: ignore[misc]
        response["Cache-Control"] = "no-store"
        return response


class OwnDefaults:
    """An endpoint with a fixed contract: JSON, one address, errors as `{detail, code}`.

    The defaults of a site are for its own API. Its versions would hide our addresses, and its
    renderers, parsers and error handler would change what our clients read and send.
    """

    versioning_class: Any = None
    renderer_classes: Any = (JSONRenderer,)
    parser_classes: Any = (JSONParser, FormParser, MultiPartParser)
    content_negotiation_class: Any = DefaultContentNegotiation

    def get_exception_handler(self) -> Any:
        return errors.handle


class RealtimeView(OwnDefaults, NeverCached, APIView):
    """An endpoint for signed-in users, by token or by session."""

    authentication_classes = (TokenAuthentication, SessionAuthentication)
    permission_classes = (IsAuthenticated,)
    vars().update(openapi.view_schema())

    def dispatch(self, *args: Any, **kwargs: Any) -> Any:
        # A page asks again because it was told of a change, which a replica may not have yet.
        with up_to_date_reads():
            return super().dispatch(*args, **kwargs)

    def identity(self, request: Request) -> Identity:
        """Return the identity of the request, with the scopes of its token.

        Refuses whom `USER_AUTHENTICATION_RULE` refuses, as the handshake of a socket does, because
        SimpleJWT and Django's sessions do not ask it.
        """
        try:
            permitted(request.user)
        except AuthenticationError as error:
            raise AuthenticationFailed(error.reason) from error
        if isinstance(request.auth, Identity):
            return request.auth
        key = getattr(getattr(request, "session", None), "session_key", None)
        return Identity(request.user, session_id=django_sign_in(key), session_key=key or "")

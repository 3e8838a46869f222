"""The Channels middleware that authenticates connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from channels.middleware import BaseMiddleware
from django.contrib.auth.models import AnonymousUser

from . import layers
from .authentication import (
    Identity,
    credentials,
    origins,
    session_identities,
    tickets,
    verification,
)
from .authentication.handshake import with_script_name
from .codes import CloseCode
from .conf import realtime_settings
from .exceptions import AuthenticationError, AuthenticationUnavailable, RealtimeError
from .sparse_log import SparseLog
from .transports import http, servers

logger = logging.getLogger("realtime.middleware")
_refused = SparseLog(logger)
_late = SparseLog(logger)
_refused_credentials = SparseLog(logger)


class JWTAuthMiddleware(BaseMiddleware):  # type: ignore[misc]
    """Finds the credential in the scope and resolves its Django user through SimpleJWT.

    Adds to the scope: `user`; `identity`, an `Identity`, or None without a credential; and
    `authentication_error`, the error if the credential was refused, or None.

    A credential is checked for `CONNECT_SECONDS` at most, so every handshake gets an answer.

    A session that proves nobody is as none: the client may send a token, or be anonymous.

    After a refusal the user is anonymous and the consumer gets the connection. It accepts before it
    closes, because browsers do not report the code of a close before the accept. A foreign Origin
    is refused at once, with HTTP 403.

    One inside another does nothing.

    The path is matched as Django matches it over HTTP: below `FORCE_SCRIPT_NAME` or the `root_path`
    of the server.
    """

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]
    ) -> Any:
        if "authentication_error" in scope:
            return await self.inner(scope, receive, send)  # done by another one, above a router
        scope = with_script_name(servers.with_scheme(scope, send))
        if (reason := origins.refusal(scope)) is not None:
            return await _refuse(scope, receive, send, reason)
        identity: Identity | None = None
        error: RealtimeError | None = None
        is_of_session = False
        try:
            credential = credentials.find(scope)
            if credential is not None:
                is_of_session = credential.way == "session"
                if is_of_session:
                    _require_own_page(scope)
                elif credential.way in credentials.AMBIENT and not origins.is_present(scope):
                    reason = "a cookie needs an Origin, and none came"
                    return await _refuse(scope, receive, send, reason)
                async with asyncio.timeout(realtime_settings.CONNECT_SECONDS):
                    identity = await _RESOLVERS[credential.way](credential.value)
                identity = replace(identity, ambient=credential.way in credentials.AMBIENT)
        except TimeoutError:
            error = AuthenticationUnavailable("the credential could not be checked in time")
            _late.warning("a handshake was answered late: %s", error)
        except RealtimeError as raised:
            error = raised
            if not is_of_session:
                _log(error, scope)
        if error is not None:
            error.ambient = is_of_session
        scope = dict(scope)
        scope["identity"] = identity
        scope["user"] = identity.user if identity is not None else AnonymousUser()
        scope["authentication_error"] = error
        return await self.inner(scope, receive, send)


async def refuse(receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """Close before accepting; every server turns that into HTTP 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1000})


async def _refuse(
    scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any], reason: str
) -> None:
    is_http = scope["type"] == "http"
    _refused.warning("refused a %s: %s", "request" if is_http else "WebSocket", reason)
    await (http.forbid(send) if is_http else refuse(receive, send))


def _log(error: RealtimeError, scope: dict[str, Any]) -> None:
    """Log a refused credential. An expired one is no mistake: the client brings a new one. One of a
    session may be followed by a token."""
    if isinstance(error, AuthenticationError) and error.close_code is CloseCode.EXPIRED:
        logger.info("refused a credential: %s", error)
        return
    address = (scope.get("client") or ["an unknown address"])[0]
    _refused_credentials.warning("refused a credential from %s: %s", address, error)


def _require_own_page(scope: dict[str, Any]) -> None:
    if (reason := origins.refusal_of_session(scope)) is not None:
        raise AuthenticationError(reason)


async def _redeem(ticket: str) -> Identity:
    kept = None
    if tickets.is_ticket(ticket):
        kept = await layers.get_layer().redeem_ticket(ticket)
    if kept is None:
        raise AuthenticationError("the ticket is unknown, used or too old")
    return await tickets.redeem(kept)


_RESOLVERS: dict[str, Callable[[str], Awaitable[Identity]]] = {
    "subprotocol": verification.authenticate,
    "header": verification.authenticate,
    "query": verification.authenticate,
    "cookie": verification.authenticate,
    "ticket": _redeem,
    "session": session_identities.identify,
}

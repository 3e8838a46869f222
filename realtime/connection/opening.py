"""The beginning and the end of a connection: its session and its outbox, known to its process."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from ..codes import CloseCode
from ..hub.node import get_node
from ..protocols.base import WireProtocol
from .outbox import Outbox
from .ports import Sink, Transport
from .session import Session

Kind = TypeVar("Kind", bound=Session)


def open_connection(
    scope: dict[str, Any], sink: Sink, protocol: WireProtocol, kind: type[Session] = Session
) -> tuple[Session, Outbox]:
    """Make the session of a connection that `JWTAuthMiddleware` has looked at."""
    outbox = Outbox(sink, protocol)
    session = new_session(scope, outbox, protocol, kind)
    outbox.on_overflow = partial(session.close, CloseCode.SLOW)
    return session, outbox


def new_session(
    scope: dict[str, Any], transport: Transport, protocol: WireProtocol, kind: type[Kind]
) -> Kind:
    """Make a session for what the middleware has found, and make it known to its process."""
    node = get_node()
    session = kind(
        transport=transport,
        protocol=protocol,
        node=node,
        identity=scope.get("identity"),
        authentication_error=scope.get("authentication_error"),
        address=_address(scope),
    )
    node.sessions.add(session)
    return session


def leave(session: Session, outbox: Outbox) -> None:
    """The connection has ended."""
    session.end()
    session.node.sessions.discard(session)
    outbox.end()


def _address(scope: dict[str, Any]) -> str:
    """The address of the client, as the server sees it; servers can be told to trust a proxy."""
    client = scope.get("client")
    return str(client[0]) if client else ""

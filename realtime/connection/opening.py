"""The beginning and the end of a connection: its session and its outbox, known to its process."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..codes import CloseCode
from ..hub.node import get_node
from ..protocols.base import WireProtocol
from .outbox import Outbox
from .ports import Sink
from .session import Session


def open_connection(
    scope: dict[str, Any], sink: Sink, protocol: WireProtocol, kind: type[Session] = Session
) -> tuple[Session, Outbox]:
    """Make the session of a connection that `JWTAuthMiddleware` has looked at."""
    node = get_node()
    outbox = Outbox(sink, protocol)
    session = kind(
        transport=outbox,
        protocol=protocol,
        node=node,
        identity=scope.get("identity"),
        authentication_error=scope.get("authentication_error"),
        address=_address(scope),
    )
    outbox.on_overflow = partial(session.close, CloseCode.SLOW)
    node.sessions.add(session)
    return session, outbox


def leave(session: Session, outbox: Outbox) -> None:
    """The connection has ended."""
    session.end()
    session.node.sessions.discard(session)
    outbox.end()


def _address(scope: dict[str, Any]) -> str:
    """The address of the client, as the server sees it; servers can be told to trust a proxy."""
    client = scope.get("client")
    return str(client[0]) if client else ""

"""The connect of Socket.IO: the namespace, and what a client sends in `auth`."""

from __future__ import annotations

import msgspec

from ..conf import realtime_settings
from .base import ProtocolError
from .requests import MalformedCommand


class SocketConnect(msgspec.Struct):
    """`auth` of the client, in which the client library writes `pid` and `offset`. Without
    `recovery` events have no last argument that tells their position."""

    token: str | None = ""
    pid: str | None = None
    offset: str | None = None
    recovery: bool = True


_decode_auth = msgspec.json.Decoder(SocketConnect).decode


def read_auth(text: str) -> SocketConnect | MalformedCommand:
    """Read `auth`. Raises `ProtocolError` if it is not JSON."""
    try:
        return _decode_auth(text or "{}")
    except msgspec.ValidationError as error:
        return MalformedCommand(0, f"bad request: {error}, in auth")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ProtocolError("auth is not JSON") from error


def is_namespace(name: str) -> bool:
    """Return whether the site has this namespace."""
    known = {each.strip("/") for each in realtime_settings.SOCKETIO_NAMESPACES}
    return name == "/" or name.strip("/") in known

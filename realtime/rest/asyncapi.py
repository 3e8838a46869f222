"""The AsyncAPI 3 document of a site: https://www.asyncapi.com/docs/reference/specification/v3.0.0"""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest
from django.urls import get_script_prefix

from ..conf import realtime_settings
from ..version import __version__
from .catalogue import Catalogue, Function, RoomKind

Document = dict[str, Any]

_PROTOCOL = (
    "The Centrifuge client protocol, version 2, in JSON: "
    "https://centrifugal.dev/docs/transports/client_protocol. A channel here is a room: "
    "`subscribe` enters it, and `publish` publishes to it, over one connection."
)
_TYPES = {"int": "integer"}
_ANY: Document = {"description": "Any JSON value."}


def socket_of(request: HttpRequest) -> str:
    """Return the address of the socket for the page of a request."""
    scheme = "wss" if request.is_secure() else "ws"
    path = get_script_prefix() + str(realtime_settings.PATH).strip("/")
    return f"{scheme}://{request.get_host()}{path.rstrip('/')}/"


def document(catalogue: Catalogue, socket: str) -> Document:
    """Return the document of what a site has declared."""
    protocol, _, rest = socket.partition("://")
    host, _, path = rest.partition("/")
    channels = {"rooms": _stored_rooms()}
    operations = _operations("rooms", "a room")
    for kind in catalogue.rooms:
        id = _id(kind.pattern, channels)
        channels[id] = _channel(kind)
        operations |= _operations(id, kind.pattern)
    for rpc in catalogue.rpcs:
        id = _id(f"rpc_{rpc.name}", channels)
        channels[id], operations[id] = _rpc_channel(rpc), _rpc_operation(id, rpc)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": f"Rooms of {host}", "version": __version__, "description": _PROTOCOL},
        "defaultContentType": "application/json",
        "servers": {
            "socket": {
                "host": host,
                "pathname": f"/{path}",
                "protocol": protocol,
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            }
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {"publication": _publication(), "data": {"payload": _ANY}},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _id(text: str, taken: Document) -> str:
    """Return an id for `text` that is not taken: words alone, because references hold it."""
    id = plain = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_") or "room"
    number = 2
    while id in taken:
        id, number = f"{plain}_{number}", number + 1
    return id


def _stored_rooms() -> Document:
    return {
        "address": "{room}",
        "title": "Room",
        "description": "The rooms that administrators create.",
        "parameters": {"room": {"description": "The name of the room."}},
        "messages": _messages(),
    }


def _channel(kind: RoomKind) -> Document:
    channel: Document = {
        "address": kind.address,
        "title": kind.name,
        "description": kind.text or f"The rooms {kind.pattern}.",
        "messages": _messages(),
        "x-history": {"size": kind.history_size, "seconds": kind.history_ttl_seconds},
        "x-presence": kind.presence,
        "x-state": kind.has("get_state"),
    }
    if kind.parts:
        channel["parameters"] = {
            name: {
                "description": f"Converter: {converter}.",
                "x-type": _TYPES.get(converter, "string"),
            }
            for name, converter in kind.parts.items()
        }
    return channel


def _messages() -> Document:
    return {
        "publication": {"$ref": "#/components/messages/publication"},
        "data": {"$ref": "#/components/messages/data"},
    }


def _operations(id: str, rooms: str) -> Document:
    """The operations, as AsyncAPI sees them: from the side of the server."""
    channel = {"$ref": f"#/channels/{id}"}
    return {
        f"send_{id}": {
            "action": "send",
            "channel": channel,
            "summary": f"A message of {rooms} comes to its members.",
            "messages": [{"$ref": f"#/channels/{id}/messages/publication"}],
        },
        f"receive_{id}": {
            "action": "receive",
            "channel": channel,
            "summary": f"A client publishes to {rooms}.",
            "messages": [{"$ref": f"#/channels/{id}/messages/data"}],
        },
    }


def _rpc_channel(rpc: Function) -> Document:
    return {
        "address": None,
        "title": rpc.name,
        "description": rpc.text or f"The rpc method {rpc.name}.",
        "messages": {"request": {"payload": _ANY}, "response": {"payload": _ANY}},
    }


def _rpc_operation(id: str, rpc: Function) -> Document:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{id}"},
        "summary": f"A client calls the rpc method {rpc.name}.",
        "messages": [{"$ref": f"#/channels/{id}/messages/request"}],
        "reply": {
            "channel": {"$ref": f"#/channels/{id}"},
            "messages": [{"$ref": f"#/channels/{id}/messages/response"}],
        },
    }


def _publication() -> Document:
    return {
        "title": "Publication",
        "payload": {
            "type": "object",
            "required": ["data", "offset"],
            "properties": {
                "data": _ANY,
                "offset": {"type": "integer", "description": "Its number in the room, from 1."},
                "info": {
                    "type": "object",
                    "description": "The publisher; absent if the server has published.",
                    "properties": {
                        "user": {"type": "string"},
                        "client": {"type": "string"},
                        "conn_info": {"description": "The public profile of the user."},
                    },
                },
            },
        },
    }

"""What the protocols without SDKs write for a message."""

from __future__ import annotations

from typing import Any

import msgspec

from ..rooms.publications import Publication


def plain_message(room: str, publication: Publication) -> dict[str, Any]:
    """A publication as the client gets it: `type`, `room`, `offset`, `user`, `name`, `data`."""
    message: dict[str, Any] = {
        "type": "message",
        "room": room,
        "offset": publication.offset,
        "user": None,
    }
    content = publication.content()
    if content.info is not msgspec.UNSET:
        message["user"] = content.info.user
        info = content.info.conn_info
        if isinstance(info, dict) and "name" in info:
            message["name"] = info["name"]
    message["data"] = content.data
    return message

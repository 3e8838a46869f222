"""Publications and infos as bytes in Redis, encrypted if the site has keys for it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Protocol

from ...rooms.publications import Publication

PUBLICATION_MARK = b"\xc1"
"""The first byte of a broadcast that append.lua sends; no message of msgpack begins with it."""


UNREADABLE: tuple[type[Exception], ...] = (ValueError, LookupError, TypeError, AttributeError)
"""The errors of reading what another program has written."""

if find_spec("cryptography"):
    from cryptography.fernet import InvalidToken

    UNREADABLE += (InvalidToken,)


class Serializer(Protocol):
    """Messages as bytes; encrypts and decrypts if the site has keys."""

    def serialize(self, message: dict[str, Any]) -> bytes: ...
    def deserialize(self, message: bytes) -> dict[str, Any]: ...


class Codec:
    """Writes and reads what Redis keeps.

    A stored publication is its room, a line break and its body. In a broadcast, append.lua puts the
    mark, the offset, a colon, the epoch and a line break in front of it.
    """

    def __init__(self, serializer: Serializer, is_encrypted: bool) -> None:
        self._serializer = serializer
        self._is_encrypted = is_encrypted

    def pack_publication(self, room: str, body: bytes) -> bytes:
        content = b"%b\n%b" % (room.encode(), body)
        if self._is_encrypted:
            return self._serializer.serialize({"publication": content})
        return content

    def unpack_publication(self, message: bytes) -> tuple[str, bytes]:
        """Room and body of a stored publication."""
        if self._is_encrypted:
            message = self._serializer.deserialize(message)["publication"]
        room, _, body = message.partition(b"\n")
        return room.decode(), body

    def read_broadcast(self, message: bytes) -> tuple[str, str, Publication]:
        """Room, epoch and publication of a broadcast."""
        head, _, content = message.partition(b"\n")
        offset, _, epoch = head.partition(b":")
        room, body = self.unpack_publication(content)
        return room, epoch.decode(), Publication(int(offset[1:]), body)

    def pack(self, message: dict[str, Any]) -> bytes:
        """A message of a group."""
        return self._serializer.serialize(message)

    def pack_info(self, info: bytes) -> bytes:
        return self._serializer.serialize({"info": info})

    def unpack_info(self, packed: bytes) -> bytes:
        info: bytes = self._serializer.deserialize(packed)["info"]
        return info

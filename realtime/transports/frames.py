"""Plain WebSocket frames (RFC 6455, 5.2): whole messages, neither fragmented nor compressed.

Nearly all frames are plain, and reading one here costs a tenth of what a complete parser needs.
Everything else is left to such a parser.
"""

from __future__ import annotations

from ..protocols.frames import Frame, Message, messages_of
from .websockets_library import apply_mask

TEXT = 0x81
"""The first byte of a text that is one frame."""
BINARY = 0x82
_MASKED = 0x80
_CLOSE = 0x8
_LENGTHS = {126: 4, 127: 10}
"""The bytes before the mask, where the length does not fit into the second one."""
PING = b"\x89\x00"
"""A ping of the transport (RFC 6455, 5.5.2), which every client answers by itself."""
_SHORT_HEADS = {kind: [bytes((kind, size)) for size in range(126)] for kind in (TEXT, BINARY)}


def encode_message(message: Message) -> bytes:
    """A whole message from a server, as it goes over the wire."""
    kind, payload = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
    size = len(payload)
    if size < 126:
        return _SHORT_HEADS[kind][size] + payload
    if size < 65_536:
        return bytes((kind, 126)) + size.to_bytes(2, "big") + payload
    return bytes((kind, 127)) + size.to_bytes(8, "big") + payload


class LastFrame:
    """Remembers the last frame: one that goes to many clients is the same for all."""

    frame: Frame = ""
    encoded = encode_message("")

    def of(self, frame: Frame) -> bytes:
        # The same object, not an equal one: a comparison of long texts takes its time.
        if frame is not self.frame:
            self.encoded = b"".join(map(encode_message, messages_of(frame)))
            self.frame = frame
        return self.encoded


last_frame = LastFrame()


def end_of_frame(data: bytes, begin: int) -> int | None:
    """The end of the masked frame that begins at `begin`. It is behind the end of `data` if part of
    the frame is missing, and None if the frame is not masked."""
    rest = len(data) - begin
    if rest < 2:
        return len(data) + 1
    size = data[begin + 1] - _MASKED
    if 0 <= size < 126:
        return begin + 6 + size
    if size == 126:
        if rest < 4:
            return len(data) + 1
        return begin + 8 + int.from_bytes(data[begin + 2 : begin + 4], "big")
    if size == 127:
        if rest < 10:
            return len(data) + 1
        return begin + 14 + int.from_bytes(data[begin + 2 : begin + 10], "big")
    return None


def is_close(data: bytes, begin: int) -> bool:
    """Return whether the frame that begins at `begin` is a close."""
    return data[begin] & 0x0F == _CLOSE


def is_message(data: bytes, begin: int) -> bool:
    """Return whether the frame that begins at `begin` is a whole message."""
    return data[begin] in (TEXT, BINARY)


def payload_of_frame(data: bytes | bytearray, begin: int, end: int) -> bytes | None:
    """The payload of a frame that `end_of_frame` has found whole; None if it is not a message in
    one frame."""
    if data[begin] not in (TEXT, BINARY):
        return None
    key = begin + _LENGTHS.get(data[begin + 1] & 0x7F, 2)
    return bytes(apply_mask(data[key + 4 : end], data[key : key + 4]))

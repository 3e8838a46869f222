"""Payloads: JSON that every client can read."""

import json
from typing import Any

import msgspec

from ..conf import realtime_settings
from ..exceptions import InvalidPayload, PayloadTooLarge
from .nesting import is_deeper

# Decodes the whole value. A decoder of `Raw` only skips over it, and accepts numbers such as 1e999,
# which are too large for a double.
_decoder = msgspec.json.Decoder()
# `json.dumps` makes an encoder for each value.
_encoder = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def is_portable(data: bytes | bytearray | memoryview | msgspec.Raw) -> bool:
    """Return whether `data` is one JSON value: no NaN, no number too large for a double, no lone
    surrogate."""
    try:
        _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def on_one_line(data: bytes) -> bytes:
    """Return the same JSON without line breaks, which would end a message on the wire. Line breaks
    inside strings are always escaped, so the value stays the same."""
    return msgspec.json.format(data, indent=-1)


def encode(data: Any, most: int | None = None) -> bytes:
    """Return `data` as JSON. Raises `InvalidPayload` for values that JSON does not have.

    Uses the encoder of the standard library, because msgspec accepts sets, decimals and NaN.
    """
    try:
        return checked(_encoder.encode(data).encode(), most)
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, InvalidPayload):
            raise
        raise InvalidPayload(f"the payload is not JSON: {error}") from error


def encode_result(value: Any, most: int | None = None) -> bytes:
    """Encode what a hook returned. Raises `TypeError`: a wrong value is not the client's fault."""
    try:
        return encode(value, most)
    except InvalidPayload as error:
        raise TypeError(f"the hook returned a value that can't be sent: {error}") from error


def decode(data: bytes) -> Any:
    return msgspec.json.decode(data)


def raw(data: bytes) -> msgspec.Raw:
    return msgspec.Raw(data)


def checked(data: bytes, most: int | None = None) -> bytes:
    """Return `data` on one line, if it is one JSON value of at most `MESSAGE_MAX_BYTES`, or `most`
    bytes, and nests in at most `MESSAGE_MAX_LEVELS`."""
    if not data:
        raise InvalidPayload("data is missing")
    if len(data) > (most or realtime_settings.MESSAGE_MAX_BYTES):
        most = most or realtime_settings.MESSAGE_MAX_BYTES
        raise PayloadTooLarge(f"{len(data)} bytes, and {most} are allowed")
    if is_deeper(data, realtime_settings.MESSAGE_MAX_LEVELS):
        raise InvalidPayload(
            f"data nests deeper than {realtime_settings.MESSAGE_MAX_LEVELS} levels"
        )
    if not is_portable(data):
        raise InvalidPayload("data is not JSON that every client can read")
    if b"\n" in data or b"\r" in data:
        return on_one_line(data)
    return data

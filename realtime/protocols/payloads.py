"""Which payloads are JSON that every client can read."""

import msgspec

# Checked by decoding into nothing that is kept. Skipping over a value, as msgspec does for Raw,
# lets numbers such as 1e999 pass, which no double holds.
_decoder = msgspec.json.Decoder()


def is_portable(data: bytes | bytearray | memoryview | msgspec.Raw) -> bool:
    """Whether `data` is one JSON value: no NaN, no number beyond a double, no lone surrogate,
    no nesting deeper than the interpreter's stack allows."""
    try:
        _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def on_one_line(data: bytes) -> bytes:
    """The same JSON without line breaks, which end a message on the wire: inside of its strings
    there are none, so that they mean nothing."""
    if b"\n" not in data and b"\r" not in data:
        return data
    return msgspec.json.format(data, indent=-1)

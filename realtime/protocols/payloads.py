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
    """The same JSON without line breaks, which would end a message on the wire. They mean nothing:
    inside of strings there are none."""
    return msgspec.json.format(data, indent=-1)

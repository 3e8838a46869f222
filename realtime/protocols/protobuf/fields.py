"""The wire format of Protocol Buffers: numbers, fields, and messages after their length.

Source: https://protobuf.dev/programming-guides/encoding/. A publication is a few fields, which
concatenation writes several times as fast as a library fills in an object for each message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

VARINT, LENGTH = 0, 2
"""Types of fields: a number, and so many bytes. Two more were for groups, which nobody writes."""
_FIXED = {1: 8, 5: 4}
"""Types of fields of a fixed size, in bytes."""

_UINT64 = 2**64 - 1
_TAG_MAX = 2**32 - 1
_VARINT_MAX_BYTES = 10
_SHORT = [bytes((number,)) for number in range(128)]


class Malformed(ValueError):
    """What was read is no message, or not one of this type."""


def varint(number: int) -> bytes:
    """Encode a number from 0: seven bits a byte, the lowest first."""
    if number < 128:
        return _SHORT[number]
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the number at `position`, of 64 bits, and the position behind it."""
    if position < len(data) and data[position] < 128:
        return data[position], position + 1
    number = shift = 0
    for index in range(position, min(position + _VARINT_MAX_BYTES, len(data))):
        byte = data[index]
        number |= (byte & 127) << shift
        if byte < 128:
            if number > _UINT64:
                break
            return number, index + 1
        shift += 7
    raise Malformed("a number is cut off or too large")


def tag(number: int, kind: int) -> int:
    """What a field begins with."""
    return number << 3 | kind


def read_fields(data: bytes, most: int) -> Iterator[tuple[int, Any]]:
    """The tag and the value of each field of a message: a number, or bytes. Raises `Malformed`,
    also for more than `most` fields: each takes its time, and two bytes are one."""
    position, size = 0, len(data)
    while position < size:
        most -= 1
        if most < 0:
            raise Malformed("a message has too many fields")
        key = data[position]
        position += 1
        if key > 127:
            key, position = read_varint(data, position - 1)
        if not 8 <= key <= _TAG_MAX:
            raise Malformed("a field has no valid number")
        kind = key & 7
        length = _FIXED.get(kind)
        if length is None:
            # Nearly always below 128, which needs no call.
            if position < size and data[position] < 128:
                length = data[position]
                position += 1
            else:
                length, position = read_varint(data, position)
            if kind == VARINT:
                yield key, length
                continue
            if kind != LENGTH:
                raise Malformed("a field has no valid type")
        end = position + length
        if end > size:
            raise Malformed("a field is cut off")
        yield key, data[position:end]
        position = end


# Writers. Each makes one field of a value, or nothing for the value that a reader assumes.

Writer = Callable[[Any], bytes]


def field(number: int, value: bytes) -> bytes:
    """A field of bytes, a text or a message."""
    return varint(tag(number, LENGTH)) + varint(len(value)) + value


def delimited(message: bytes) -> bytes:
    """A message after its length, as several of them follow each other."""
    return varint(len(message)) + message


def of_number(number: int) -> Writer:
    """A field of a number from 0, or of a bool."""
    key = varint(tag(number, VARINT))

    def write(value: int) -> bytes:
        return key + varint(int(value)) if value else b""

    return write


def of_bytes(number: int) -> Writer:
    key = varint(tag(number, LENGTH))

    def write(value: bytes) -> bytes:
        return key + varint(len(value)) + value if value else b""

    return write


def of_text(number: int) -> Writer:
    write_bytes = of_bytes(number)

    def write(value: str) -> bytes:
        return write_bytes(value.encode(errors="replace"))

    return write


def of_message(number: int, encode: Callable[[Any], bytes]) -> Writer:
    """A field of a message, which is written also if it is empty."""
    key = varint(tag(number, LENGTH))

    def write(value: Any) -> bytes:
        message = encode(value)
        return key + varint(len(message)) + message

    return write


def of_each(write: Writer) -> Writer:
    """A field for each item."""

    def write_all(items: Any) -> bytes:
        return b"".join(map(write, items))

    return write_all


def of_entries(number: int, encode: Callable[[Any], bytes]) -> Writer:
    """A map from texts to messages: a message of two fields for each entry."""
    key, value = of_text(1), of_message(2, encode)

    def entry(item: tuple[str, Any]) -> bytes:
        return key(item[0]) + value(item[1])

    write = of_each(of_message(number, entry))
    return lambda entries: write(entries.items())

"""The fields of a message, by their tags, and how the value of each is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from ..requests import NULL
from .fields import LENGTH, VARINT, Malformed, read_fields, tag

FIELDS_MAX = 100
"""Several times what the largest command has: each field takes its time, also one that is unknown.
"""


class Field(NamedTuple):
    name: str
    convert: Callable[[Any], Any]
    is_message: bool = False
    """Whether it is a message. Nobody writes one of those twice, and it is refused."""


Schema = Mapping[int, Field]
"""The known fields of a message by their tags."""


def text(number: int, name: str) -> tuple[int, Field]:
    return tag(number, LENGTH), Field(name, bytes.decode)


def boolean(number: int, name: str) -> tuple[int, Field]:
    return tag(number, VARINT), Field(name, bool)


def uint64(number: int, name: str) -> tuple[int, Field]:
    return tag(number, VARINT), Field(name, int)


def integer(number: int, name: str, bits: int) -> tuple[int, Field]:
    """A number that may be below 0. As in all readers, the highest bits are lost."""
    half, full = 1 << bits - 1, 1 << bits

    def convert(value: int) -> int:
        return (value + half) % full - half

    return tag(number, VARINT), Field(name, convert)


def payload(number: int, name: str, missing: msgspec.Raw = NULL) -> tuple[int, Field]:
    """A payload, which should be JSON. That is found out by the command that uses it."""
    return tag(number, LENGTH), Field(name, lambda value: msgspec.Raw(value) if value else missing)


def zero(number: int, name: str) -> tuple[int, Field]:
    """A number that we know to mean something else."""

    def convert(value: int) -> int:
        if value:
            raise Malformed(f"`{name}` is not supported")
        return 0

    return tag(number, VARINT), Field(name, convert)


def empty(number: int, name: str) -> tuple[int, Field]:
    """As `zero`, of a text."""

    def convert(value: bytes) -> str:
        if value:
            raise Malformed(f"`{name}` is not supported")
        return ""

    return tag(number, LENGTH), Field(name, convert)


def message(number: int, name: str, kind: type, schema: Schema) -> tuple[int, Field]:
    def convert(value: bytes) -> Any:
        return kind(**read(schema, value))

    return tag(number, LENGTH), Field(name, convert, is_message=True)


def read(schema: Schema, data: bytes, most: int = FIELDS_MAX) -> dict[str, Any]:
    """Read the known fields of a message, and skip the others. Of one that comes twice, the last
    counts."""
    values: dict[str, Any] = {}
    for key, value in read_fields(data, most):
        known = schema.get(key)
        if known is None:
            refuse_known(schema, key)
        elif known.is_message and known.name in values:
            raise Malformed(f"`{known.name}` comes twice")
        else:
            values[known.name] = known.convert(value)
    return values


def refuse_known(schema: Schema, key: int) -> None:
    """Refuse a known field of another type: as an unknown one it would be lost in silence."""
    other = schema.get(key & ~7 | VARINT) or schema.get(key & ~7 | LENGTH)
    if other is not None:
        raise Malformed(f"`{other.name}` is of another type")

"""Reads the commands of clients. Field numbers are those of the Centrifuge client protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from ...codes import Error
from ..base import ProtocolError
from ..requests import (
    NULL,
    Channel,
    Command,
    CommandError,
    Connect,
    History,
    MalformedCommand,
    Ping,
    Publish,
    Refresh,
    Rpc,
    Send,
    Since,
    Subscribe,
    SubscribeOptions,
)
from .fields import LENGTH, VARINT, Malformed, read_fields, read_varint, tag

FIELDS_MAX = 100
"""Several times what the largest command has: each field takes its time, also one that is unknown.
"""
CONNECT_FIELDS_MAX = 10_000
"""A `connect` has one for each of its rooms."""

_UINT32 = 2**32 - 1
_ID = tag(1, VARINT)


class ProtobufConnect(Connect):
    """The rooms of a `connect`, as they came: they are not read before it is authenticated."""

    entries: list[bytes] = []

    def first_rooms(self, most: int) -> dict[str, SubscribeOptions]:
        rooms: dict[str, SubscribeOptions] = {}
        try:
            for entry in self.entries:
                key, options = _read_entry(entry)
                if key not in rooms and len(rooms) == most:
                    break
                rooms[key] = options
        except ValueError as error:
            message = f"bad request: {_said(error)} - in `subs`"
            raise CommandError(Error(Error.BAD_REQUEST.code, message)) from error
        return rooms


class _Field(NamedTuple):
    name: str
    convert: Callable[[Any], Any]
    is_message: bool = False
    """Whether it is a message. Nobody writes one of those twice, and it is refused."""


_Schema = Mapping[int, _Field]
"""The known fields of a message by their tags."""


def _text(number: int, name: str) -> tuple[int, _Field]:
    return tag(number, LENGTH), _Field(name, bytes.decode)


def _bool(number: int, name: str) -> tuple[int, _Field]:
    return tag(number, VARINT), _Field(name, bool)


def _uint64(number: int, name: str) -> tuple[int, _Field]:
    return tag(number, VARINT), _Field(name, int)


def _int(number: int, name: str, bits: int) -> tuple[int, _Field]:
    """A number that may be below 0. As in all readers, the highest bits are lost."""
    half, full = 1 << bits - 1, 1 << bits

    def convert(value: int) -> int:
        return (value + half) % full - half

    return tag(number, VARINT), _Field(name, convert)


def _payload(number: int, name: str, missing: msgspec.Raw = NULL) -> tuple[int, _Field]:
    """A payload, which should be JSON. That is found out by the command that uses it."""
    return tag(number, LENGTH), _Field(name, lambda value: msgspec.Raw(value) if value else missing)


def _zero(number: int, name: str) -> tuple[int, _Field]:
    """A number that we know to mean something else."""

    def convert(value: int) -> int:
        if value:
            raise Malformed(f"`{name}` is not supported")
        return 0

    return tag(number, VARINT), _Field(name, convert)


def _empty(number: int, name: str) -> tuple[int, _Field]:
    """As `_zero`, of a text."""

    def convert(value: bytes) -> str:
        if value:
            raise Malformed(f"`{name}` is not supported")
        return ""

    return tag(number, LENGTH), _Field(name, convert)


def _message(number: int, name: str, kind: type, schema: _Schema) -> tuple[int, _Field]:
    def convert(value: bytes) -> Any:
        return kind(**_read(schema, value))

    return tag(number, LENGTH), _Field(name, convert, is_message=True)


_CHANNEL = dict([_text(1, "channel")])
_SINCE = dict([_uint64(1, "offset"), _text(2, "epoch")])
_OPTIONS = dict(
    [
        _bool(3, "recover"),
        _text(6, "epoch"),
        _uint64(7, "offset"),
        _payload(8, "data"),
        _bool(9, "positioned"),
        _bool(10, "recoverable"),
        _bool(11, "join_leave"),
        (tag(13, LENGTH), _Field("tf", bytes)),
        _int(14, "flag", 64),
        _int(15, "type", 32),
    ]
)
_CONNECT = dict(
    [
        _text(1, "token"),
        _payload(2, "data"),
        (tag(3, LENGTH), _Field("entries", bytes)),
        _text(4, "name"),
        _text(5, "version"),
    ]
)
_PUBLISH = dict(
    [
        _text(1, "channel"),
        _payload(2, "data", missing=msgspec.Raw(b"")),
        _zero(3, "type"),
        _empty(4, "key"),
    ]
)
_HISTORY = dict(
    [
        _text(1, "channel"),
        _int(7, "limit", 32),
        _message(8, "since", Since, _SINCE),
        _bool(9, "reverse"),
    ]
)


def _read(schema: _Schema, data: bytes, most: int = FIELDS_MAX) -> dict[str, Any]:
    """Read the known fields of a message, and skip the others. Of one that comes twice, the last
    counts."""
    values: dict[str, Any] = {}
    for key, value in read_fields(data, most):
        known = schema.get(key)
        if known is None:
            _refuse_known(schema, key)
        elif known.is_message and known.name in values:
            raise Malformed(f"`{known.name}` comes twice")
        else:
            values[known.name] = known.convert(value)
    return values


def _refuse_known(schema: _Schema, key: int) -> None:
    """Refuse a known field of another type: as an unknown one it would be lost in silence."""
    other = schema.get(key ^ LENGTH)
    if other is not None:
        raise Malformed(f"`{other.name}` is of another type")


def _read_connect(data: bytes) -> ProtobufConnect:
    values: dict[str, Any] = {}
    entries: list[bytes] = []
    for key, value in read_fields(data, CONNECT_FIELDS_MAX):
        known = _CONNECT.get(key)
        if known is None:
            _refuse_known(_CONNECT, key)
        elif known.name == "entries":
            entries.append(value)
        else:
            values[known.name] = known.convert(value)
    return ProtobufConnect(**values, entries=entries)


def _read_entry(entry: bytes) -> tuple[str, SubscribeOptions]:
    name, options = "", b""
    for key, value in read_fields(entry, FIELDS_MAX):
        if key == tag(1, LENGTH):
            name = value.decode()
        elif key == tag(2, LENGTH):
            options = value
    return name, SubscribeOptions(**_read(_OPTIONS, options))


class _Body(NamedTuple):
    name: str
    read: Callable[[bytes], Any]


def _body(name: str, kind: type, schema: _Schema) -> _Body:
    return _Body(name, lambda data: kind(**_read(schema, data)))


_BODIES: Mapping[int, _Body] = {
    tag(4, LENGTH): _Body("connect", _read_connect),
    tag(5, LENGTH): _body("subscribe", Subscribe, {**_CHANNEL, **_OPTIONS}),
    tag(6, LENGTH): _body("unsubscribe", Channel, _CHANNEL),
    tag(7, LENGTH): _body("publish", Publish, _PUBLISH),
    tag(8, LENGTH): _body("presence", Channel, _CHANNEL),
    tag(9, LENGTH): _body("presence_stats", Channel, _CHANNEL),
    tag(10, LENGTH): _body("history", History, _HISTORY),
    tag(11, LENGTH): _body("ping", Ping, {}),
    tag(12, LENGTH): _body("send", Send, dict([_payload(1, "data")])),
    tag(13, LENGTH): _body("rpc", Rpc, dict([_payload(1, "data"), _text(2, "method")])),
    tag(14, LENGTH): _body("refresh", Refresh, dict([_text(1, "token")])),
    tag(15, LENGTH): _body("sub_refresh", Channel, _CHANNEL),
}


def read_command(data: bytes) -> Command | MalformedCommand:
    """Read one command. One without an id and a body is the client's pong. Raises `ProtocolError`
    if it can't be answered."""
    id, bodies = 0, []
    try:
        for key, value in read_fields(data, FIELDS_MAX):
            if key == _ID:
                id = value & _UINT32
            elif key in _BODIES:
                bodies.append((_BODIES[key], value))
            elif key == _ID ^ LENGTH or key ^ LENGTH in _BODIES:
                raise Malformed("a field of the command is of another type")
        if not id and not bodies:
            return Command(0, "pong")
        if not id and [body.name for body, _ in bodies] != ["send"]:
            raise ProtocolError("a command needs an id above 0")
        if len(bodies) != 1:
            raise Malformed("a command holds one known command")
        body, value = bodies[0]
        return Command(id, body.name, body.read(value))
    except ValueError as error:
        if id or (bodies and bodies[0][0].name == "send"):
            return MalformedCommand(id, f"bad request: {_said(error)}")
        raise ProtocolError("the message can't be read") from error


def id_in(data: bytes) -> int:
    """The id of a command that is not read: all writers put it first."""
    try:
        return read_varint(data, 1)[0] & _UINT32 if data[:1] == bytes((_ID,)) else 0
    except Malformed:
        return 0


def _said(error: ValueError) -> str:
    return "a text is not in UTF-8" if isinstance(error, UnicodeError) else str(error)

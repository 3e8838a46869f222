"""Reads the commands of clients. Field numbers are those of the Centrifuge client protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from ...codes import Error
from ..base import ProtocolError
from ..requests import (
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
    SubRefresh,
    Subscribe,
    SubscribeOptions,
)
from . import schema
from .fields import LENGTH, VARINT, Malformed, read_fields, read_varint, tag

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


_CHANNEL = dict([schema.text(1, "channel")])
_TOKEN = dict([schema.text(2, "token")])
_SINCE = dict([schema.uint64(1, "offset"), schema.text(2, "epoch")])
_OPTIONS = dict(
    [
        schema.boolean(3, "recover"),
        schema.text(6, "epoch"),
        schema.uint64(7, "offset"),
        schema.payload(8, "data"),
        schema.boolean(9, "positioned"),
        schema.boolean(10, "recoverable"),
        schema.boolean(11, "join_leave"),
        (tag(13, LENGTH), schema.Field("tf", bytes)),
        schema.integer(14, "flag", 64),
        schema.integer(15, "type", 32),
    ]
)
_CONNECT = dict(
    [
        schema.text(1, "token"),
        schema.payload(2, "data"),
        (tag(3, LENGTH), schema.Field("entries", bytes)),
        schema.text(4, "name"),
        schema.text(5, "version"),
    ]
)
_PUBLISH = dict(
    [
        schema.text(1, "channel"),
        schema.payload(2, "data", missing=msgspec.Raw(b"")),
        schema.zero(3, "type"),
        schema.empty(4, "key"),
    ]
)
_HISTORY = dict(
    [
        schema.text(1, "channel"),
        schema.integer(7, "limit", 32),
        schema.message(8, "since", Since, _SINCE),
        schema.boolean(9, "reverse"),
    ]
)


def _read_connect(data: bytes) -> ProtobufConnect:
    values: dict[str, Any] = {}
    entries: list[bytes] = []
    for key, value in read_fields(data, CONNECT_FIELDS_MAX):
        known = _CONNECT.get(key)
        if known is None:
            schema.refuse_known(_CONNECT, key)
        elif known.name == "entries":
            entries.append(value)
        else:
            values[known.name] = known.convert(value)
    return ProtobufConnect(**values, entries=entries)


def _read_entry(entry: bytes) -> tuple[str, SubscribeOptions]:
    name, options = "", b""
    for key, value in read_fields(entry, schema.FIELDS_MAX):
        if key == tag(1, LENGTH):
            name = value.decode()
        elif key == tag(2, LENGTH):
            options = value
    return name, SubscribeOptions(**schema.read(_OPTIONS, options))


class _Body(NamedTuple):
    name: str
    read: Callable[[bytes], Any]


def _body(name: str, kind: type, fields: schema.Schema) -> _Body:
    return _Body(name, lambda data: kind(**schema.read(fields, data)))


_BODIES: Mapping[int, _Body] = {
    tag(4, LENGTH): _Body("connect", _read_connect),
    tag(5, LENGTH): _body("subscribe", Subscribe, {**_CHANNEL, **_TOKEN, **_OPTIONS}),
    tag(6, LENGTH): _body("unsubscribe", Channel, _CHANNEL),
    tag(7, LENGTH): _body("publish", Publish, _PUBLISH),
    tag(8, LENGTH): _body("presence", Channel, _CHANNEL),
    tag(9, LENGTH): _body("presence_stats", Channel, _CHANNEL),
    tag(10, LENGTH): _body("history", History, _HISTORY),
    tag(11, LENGTH): _body("ping", Ping, {}),
    tag(12, LENGTH): _body("send", Send, dict([schema.payload(1, "data")])),
    tag(13, LENGTH): _body("rpc", Rpc, dict([schema.payload(1, "data"), schema.text(2, "method")])),
    tag(14, LENGTH): _body("refresh", Refresh, dict([schema.text(1, "token")])),
    tag(15, LENGTH): _body("sub_refresh", SubRefresh, {**_CHANNEL, **_TOKEN}),
}


def _read_publish(data: bytes) -> Command | None:
    """Read the command that comes most often, in a third of the time. None if it is another one, or
    not written as all SDKs do: with its fields in order, and nothing else."""
    try:
        id, position = data[1], 2
        if id > 127:
            id, position = read_varint(data, 1)
        if data[0] != _ID or data[position] != _PUBLISH_TAG:
            return None
        size, position = read_varint(data, position + 1)
        name = position + 2
        payload = name + data[position + 1]
        if data[position] != _ROOM_TAG or payload - name > 127 or data[payload] != _PAYLOAD_TAG:
            return None
        left, begin = read_varint(data, payload + 1)
        if not 0 < id <= _UINT32 or position + size != len(data) or begin + left != len(data):
            return None
        body = Publish(data[name:payload].decode(), msgspec.Raw(data[begin:]))
    except (ValueError, IndexError):
        return None
    return Command(id, "publish", body)


_PUBLISH_TAG, _ROOM_TAG, _PAYLOAD_TAG = tag(7, LENGTH), tag(1, LENGTH), tag(2, LENGTH)


def read_command(data: bytes) -> Command | MalformedCommand:
    """Read one command. One without an id and a body is the client's pong. Raises `ProtocolError`
    if it can't be answered."""
    if (publish := _read_publish(data)) is not None:
        return publish
    id, bodies = 0, []
    try:
        for key, value in read_fields(data, schema.FIELDS_MAX):
            if key == _ID:
                id = value & _UINT32
            elif key in _BODIES:
                bodies.append((_BODIES[key], value))
            elif key >> 3 == _ID >> 3 or key & ~7 | LENGTH in _BODIES:
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

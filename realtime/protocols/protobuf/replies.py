"""Writes replies and pushes. Field numbers are those of the Centrifuge client protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from ...rooms.publications import ClientInfo, Publication
from .fields import (
    Writer,
    delimited,
    field,
    of_bytes,
    of_each,
    of_entries,
    of_message,
    of_number,
    of_text,
    varint,
)

Encode = Callable[[Any], bytes]


class _Info(msgspec.Struct):
    """A `ClientInfo` whose parts are kept as they are."""

    user: str = ""
    client: str = ""
    conn_info: msgspec.Raw = msgspec.Raw(b"")
    chan_info: msgspec.Raw = msgspec.Raw(b"")


class _Content(msgspec.Struct):
    data: msgspec.Raw
    info: msgspec.Raw = msgspec.Raw(b"")
    tags: dict[str, str] | None = None


_decode_content = msgspec.json.Decoder(_Content).decode
_decode_info = msgspec.json.Decoder(_Info).decode
_encode_json = msgspec.json.Encoder().encode


def _of_json(number: int) -> Writer:
    """A payload: what the site gives, as JSON. What is JSON already stays as it is."""
    write = of_bytes(number)
    return lambda value: write(_encode_json(value))


def _fields(**writers: Writer) -> Encode:
    """A message with these fields. A reply may have more, which the protocol has in JSON only."""

    def encode(values: Mapping[str, Any]) -> bytes:
        return b"".join([writers[name](values[name]) for name in values if name in writers])

    return encode


_user, _client = of_text(1), of_text(2)
_conn_info, _chan_info = of_bytes(3), of_bytes(4)


@lru_cache(1_024)  # those who speak much
def _info(info: bytes) -> bytes:
    """The sender of a publication, from JSON."""
    known = _decode_info(info)
    return b"".join(
        [
            _user(known.user),
            _client(known.client),
            _conn_info(bytes(known.conn_info)),
            _chan_info(bytes(known.chan_info)),
        ]
    )


def _of_info(info: ClientInfo) -> bytes:
    return _info(_encode_json(info))


_tags = of_each(
    of_message(7, lambda entry: field(1, entry[0].encode()) + field(2, entry[1].encode()))
)


def _publication(publication: Publication) -> bytes:
    content = _decode_content(publication.body)
    data = bytes(content.data)
    encoded = b"\x22%b%b" % (varint(len(data)), data)
    if info := bytes(content.info):
        encoded += field(5, _info(info))
    if publication.offset:
        encoded += b"\x30" + varint(publication.offset)
    if content.tags:
        encoded += _tags(content.tags.items())
    return encoded


_SUBSCRIBED = _fields(
    expires=of_number(1),
    ttl=of_number(2),
    recoverable=of_number(3),
    epoch=of_text(6),
    publications=of_each(of_message(7, _publication)),
    recovered=of_number(8),
    offset=of_number(9),
    positioned=of_number(10),
    data=_of_json(11),
    was_recovering=of_number(12),
)
_NOTHING = _fields()
_RESULTS: Mapping[str, Writer] = {
    "connect": of_message(
        5,
        _fields(
            client=of_text(1),
            version=of_text(2),
            expires=of_number(3),
            ttl=of_number(4),
            data=_of_json(5),
            subs=of_entries(6, _SUBSCRIBED),
            ping=of_number(7),
            pong=of_number(8),
            session=of_text(9),
            node=of_text(10),
        ),
    ),
    "subscribe": of_message(6, _SUBSCRIBED),
    "unsubscribe": of_message(7, _NOTHING),
    "publish": of_message(8, _NOTHING),
    "presence": of_message(9, _fields(presence=of_entries(1, _of_info))),
    "presence_stats": of_message(10, _fields(num_clients=of_number(1), num_users=of_number(2))),
    "history": of_message(
        11,
        _fields(
            publications=of_each(of_message(1, _publication)),
            epoch=of_text(2),
            offset=of_number(3),
        ),
    ),
    "ping": of_message(12, _NOTHING),
    "rpc": of_message(13, _fields(data=_of_json(1))),
    "refresh": of_message(
        14,
        _fields(client=of_text(1), version=of_text(2), expires=of_number(3), ttl=of_number(4)),
    ),
    "sub_refresh": of_message(15, _fields(expires=of_number(1), ttl=of_number(2))),
}
_PUSHES: Mapping[str, Writer] = {
    "join": of_message(5, _fields(info=of_message(1, _of_info))),
    "leave": of_message(6, _fields(info=of_message(1, _of_info))),
    "unsubscribe": of_message(7, _fields(code=of_number(2), reason=of_text(3))),
    "message": of_message(8, _fields(data=_of_json(1))),
    "subscribe": of_message(
        9,
        _fields(
            recoverable=of_number(1),
            epoch=of_text(4),
            offset=of_number(5),
            positioned=of_number(6),
            data=_of_json(7),
        ),
    ),
}
_id, _channel = of_number(1), of_text(2)
_error = of_message(2, _fields(code=of_number(1), message=of_text(2), temporary=of_number(3)))


def write_reply(id: int, command: str, result: Mapping[str, Any]) -> bytes:
    return delimited(_id(id) + _RESULTS[command](result))


def write_error(id: int, error: Mapping[str, Any]) -> bytes:
    return delimited(_id(id) + _error(error))


def write_push(name: str, body: Mapping[str, Any], room: str = "") -> bytes:
    return delimited(field(4, _channel(room) + _PUSHES[name](body)))


def write_publication(room: str, publication: Publication) -> bytes:
    """The push of a publication: the one message that is written for each message of a room."""
    encoded = _publication(publication)
    channel = room.encode()
    push = b"\x12%b%b\x22%b%b" % (varint(len(channel)), channel, varint(len(encoded)), encoded)
    reply = b"\x22%b%b" % (varint(len(push)), push)
    return varint(len(reply)) + reply

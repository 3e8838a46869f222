"""The events of Socket.IO: which command each event of a client is, and which event each
publication is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ..conf import realtime_settings
from ..rooms.publications import Publication
from .base import ProtocolError
from .plain_message import plain_message
from .requests import (
    Channel,
    Command,
    History,
    Int32,
    MalformedCommand,
    Publish,
    Refresh,
    Rpc,
    Subscribe,
)
from .socketio_packets import RESERVED

OWN = frozenset(
    ("publication", "joined", "unsubscribed", "presence", "rights", "notice", "error", "closed")
)
"""The events that the server sends by itself. No publication may pose as one."""

_encode = msgspec.json.Encoder().encode
_decode_text = msgspec.json.Decoder(str).decode


class EventForm(msgspec.Struct, forbid_unknown_fields=True):
    """The payload that stands for an event: `{"event": "chat message", "args": ["hello"]}`."""

    event: str
    args: list[msgspec.Raw]


_decode_form = msgspec.json.Decoder(EventForm).decode


class JoinOptions(msgspec.Struct):
    """`epoch` and `offset` ask for what was published since; `presence` for the event of the same
    name when users come and go. `token` is a grant of the site for this room."""

    epoch: str | None = None
    offset: int = 0
    presence: bool = False
    token: str = ""


class HistoryOptions(History):
    """Those of the command; without a limit, as much as a reply may hold."""

    limit: Int32 = -1


# From events to commands


def read_event(id: int, parts: Sequence[bytes]) -> Command | MalformedCommand:
    """Return the command that an event stands for. `parts` are its name and its arguments. Raises
    `ProtocolError`."""
    try:
        name = _decode_text(parts[0])
    except (IndexError, msgspec.MsgspecError, UnicodeError) as error:
        raise ProtocolError("an event begins with its name") from error
    if name in RESERVED:
        raise ProtocolError("the name of an event is reserved")
    read = _COMMANDS.get(name)
    try:
        if read is not None:
            return read(id, *parts[1:])
        room = realtime_settings.SOCKETIO_EVENTS.get(name)
        if room is None:
            return Command(id, "rpc", Rpc(name, msgspec.Raw(_argument(parts[1:]))))
    except (TypeError, msgspec.MsgspecError, UnicodeError) as error:
        about = "wrong number of arguments" if isinstance(error, TypeError) else error
        return MalformedCommand(id, f"bad request: {about}, in {name!r}")
    payload = b'{"event":%b,"args":[%b]}' % (parts[0], b",".join(parts[1:]))
    return Command(id, "publish", Publish(room, msgspec.Raw(payload)))


def _argument(parts: Sequence[bytes]) -> bytes:
    """The data of a call: one argument as it is, several as a list."""
    if len(parts) == 1:
        return parts[0]
    return b"[%b]" % b",".join(parts) if parts else b"null"


def _join(id: int, room: bytes, options: bytes = b"{}") -> Command:
    wanted = msgspec.json.decode(options, type=JoinOptions)
    # In the types of the command, which has bounds.
    return Command(
        id,
        "subscribe",
        msgspec.convert(
            {
                "channel": _decode_text(room),
                "recover": wanted.epoch is not None,
                "epoch": wanted.epoch or "",
                "offset": wanted.offset,
                "join_leave": wanted.presence,
                "token": wanted.token,
            },
            Subscribe,
        ),
    )


def _leave(id: int, room: bytes) -> Command:
    return Command(id, "unsubscribe", Channel(_decode_text(room)))


def _publish(id: int, room: bytes, data: bytes) -> Command:
    return Command(id, "publish", Publish(_decode_text(room), msgspec.Raw(data)))


def _history(id: int, room: bytes, options: bytes = b"{}") -> Command:
    wanted = msgspec.json.decode(options, type=HistoryOptions)
    wanted.channel = _decode_text(room)
    return Command(id, "history", wanted)


def _presence(id: int, room: bytes) -> Command:
    return Command(id, "presence", Channel(_decode_text(room)))


def _presence_stats(id: int, room: bytes) -> Command:
    return Command(id, "presence_stats", Channel(_decode_text(room)))


def _refresh(id: int, token: bytes) -> Command:
    return Command(id, "refresh", Refresh(_decode_text(token)))


_COMMANDS: Mapping[str, Callable[..., Command]] = {
    "join": _join,
    "leave": _leave,
    "publish": _publish,
    "history": _history,
    "presence": _presence,
    "presence_stats": _presence_stats,
    "refresh": _refresh,
}
COMMANDS = frozenset(_COMMANDS)


# From publications to events


def encode_event(room: str, publication: Publication) -> bytes:
    """Return a publication as the list of an event, without its end: one more argument follows.

    Raises `msgspec.MsgspecError` if it can't be read.
    """
    content = publication.content()
    data = bytes(content.data)
    if b'"event"' in data and b'"args"' in data:
        form = _form(data)
        if form is not None:
            return b"[" + b",".join((_encode(form.event), *map(bytes, form.args)))
    name = next((each for each, to in _mapped() if to == room), None)
    if name is not None:
        return b"[%b,%b" % (_encode(name), data)
    return b'["publication",' + _encode(message(room, publication))


def _form(data: bytes) -> EventForm | None:
    try:
        form = _decode_form(data)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return None if form.event in RESERVED or form.event in OWN else form


def _mapped() -> Any:
    return realtime_settings.SOCKETIO_EVENTS.items()


def message(room: str, publication: Publication) -> dict[str, Any]:
    """A publication as an object: `room`, `offset`, `user`, `name`, `data`."""
    about = plain_message(room, publication)
    del about["type"]
    return about


def history_entry(publication: Any) -> dict[str, Any]:
    """Encode the publications of a reply, the only objects that msgspec does not know."""
    entry = message("", publication)
    del entry["room"]
    return entry

"""Messages between processes, over the control group: structs, sent as dicts with a `type`."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgspec


class Audience(IntEnum):
    """Which of the clients that a change may concern are told that rights have changed.

    Rights are computed again in any case, and a client whose own rights turn out to be different is
    always told.
    """

    NOBODY = 0
    ENTITLED = 1
    """Those who may enter the room."""
    EVERYONE = 2


class Recheck(msgspec.Struct, frozen=True, tag="realtime.recheck"):
    """Rights may have changed: of a user, of a room, of a user in a room, or with None of all."""

    user: str | None
    room: str | None
    own: list[str] = []
    """The sign-ins that saved the user by themselves."""
    password: str = ""
    """The digest of the password that they saved."""
    audience: Audience = Audience.EVERYONE
    rehashed: str = ""
    """The digest of the password before, if the same password was stored with another hash."""
    locks_out: bool = True
    """Whether somebody may have lost access: they get nothing more until that is known."""


class Rechecks(msgspec.Struct, frozen=True, tag="realtime.rechecks"):
    """The changes of one transaction."""

    changes: list[Recheck]


class Notice(msgspec.Struct, frozen=True, tag="realtime.notice"):
    """People are shown a text: a user, one connection, everybody in a room."""

    user: str | None
    client: str
    room: str
    text: str


class NewSignIn(msgspec.Struct, frozen=True, tag="realtime.new_sign_in"):
    """The sign-in `old` goes on as `new` for its user, and has ended for everybody else."""

    user: str
    old: str
    new: str
    sealed_key: str = ""
    """The new key of its Django session, sealed with the old one."""


class Removal(msgspec.Struct, frozen=True, tag="realtime.removal", rename={"sign_in": "session"}):
    """Connections end with `code`, or leave `room` if there is one."""

    user: str | None
    sign_in: str
    """Called `session` in the dict, as in the keyword of `realtime.disconnect`."""
    client: str
    room: str
    code: int
    reason: str


class Revocation(msgspec.Struct, frozen=True, tag="realtime.revocation"):
    """What was granted in a room is taken back: from a user, or with None from everybody."""

    user: str | None
    room: str


Order = Notice | NewSignIn | Removal | Revocation
"""What the site asks for, in the words of one call."""


class Orders(msgspec.Struct, frozen=True, tag="realtime.orders"):
    """The orders of one transaction, in their order."""

    orders: list[Order]


Message = Recheck | Rechecks | Order | Orders


def to_dict(message: Message) -> dict[str, Any]:
    """The message as a channel layer takes it."""
    as_dict: dict[str, Any] = msgspec.to_builtins(message)
    return as_dict


def from_dict(message: dict[str, Any]) -> Message:
    """The message that came through a channel layer. Raises `msgspec.ValidationError`."""
    return msgspec.convert(message, Message)  # type: ignore[no-any-return]

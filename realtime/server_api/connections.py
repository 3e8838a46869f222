"""Acts on the live connections of all processes: lists and closes them, and sends notices."""

from __future__ import annotations

from typing import Any

import msgspec
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured, MultipleObjectsReturned

from ..authentication.users import find_by_text
from ..codes import CloseCode
from ..concurrency.threads import refuse_on_event_loop
from ..control.announcements import (
    User,
    announce,
    announce_after_commit,
    notice,
    removal,
    review,
)
from ..control.messages import Order, Recheck
from ..exceptions import LayerUnavailable
from ..layers import get_layer
from ..layers.records import Connection, LiveProcess, Process
from ..names import check_name
from .outgoing import is_in_transaction
from .twins import twin

_decode_process = msgspec.json.Decoder(Process).decode
_decode_connection = msgspec.json.Decoder(Connection).decode


def live_processes() -> list[LiveProcess]:
    """Return the processes that serve connections, oldest first. Raises `LayerUnavailable`."""
    found = [
        LiveProcess(_decode_process(info), list(map(_decode_connection, connections)))
        for info, connections in get_layer().live_processes_sync()
    ]
    return sorted(found, key=lambda live: live.process.started_at)


def connections(*, user: Any = None, room: str | None = None) -> list[Connection]:
    """Return the live connections of all processes, newest first: those of `user` (a user or a
    primary key), those in `room`, or all. Raises `LayerUnavailable`."""
    wanted = None if user is None else str(getattr(user, "pk", user))
    found = [
        connection
        for live in live_processes()
        for connection in live.connections
        if wanted in (None, connection.user) and (room is None or room in connection.rooms)
    ]
    return sorted(found, key=lambda connection: connection.since, reverse=True)


def find_user(text: str) -> Any:
    """Return the user that a person means by `text`: the username, the primary key, or the label
    (`USER_LABEL`) of a user who is connected. None if there is no such user.

    Raises `MultipleObjectsReturned` if it could be several.
    """
    user = find_by_text(text)
    if user is not None:
        return user
    try:
        found = {it.user for it in connections() if it.user and it.label == text}
    except (LayerUnavailable, ImproperlyConfigured):
        return None
    if len(found) > 1:
        raise MultipleObjectsReturned(", ".join(sorted(found)))
    return get_user_model()._default_manager.filter(pk__in=found).first()


NOTICE_MAX = 1_000


def disconnect(
    user: User = None,
    *,
    session: str = "",
    client: str = "",
    reason: str = "",
    code: int = 3503,
    on_commit: bool = True,
    using: str | None = None,
) -> None:
    """Close connections: all of `user` (a user or a primary key), those of one sign-in
    (`session`, the `sid` claim of its tokens), or one (`client`, the id of the connection).

    `code` is the close code. Clients do not reconnect by themselves after 3500 to 3999.
    Raises `LayerUnavailable`, and `ValueError` if no argument selects connections.

    Inside a transaction it acts after the commit and raises nothing: if Redis is away it is tried
    again for a minute. With `on_commit=False` it acts at once. `using` names the database of the
    transaction.
    """
    refuse_on_event_loop("disconnect")
    if user is None and not session and not client:
        raise ValueError("Name the connections: disconnect(user=…), session=… or client=….")
    message = removal(
        user=user, sign_in=session, client=client, code=CloseCode(code), reason=reason
    )
    order(message, on_commit, using)


def unsubscribe(
    room: str,
    user: User = None,
    *,
    client: str = "",
    reason: str = "",
    on_commit: bool = True,
    using: str | None = None,
) -> None:
    """Remove `user`, one connection, or everybody from `room`. Rights do not change: users who may
    enter can come back. Raises `InvalidRoomName` and `LayerUnavailable`.

    `on_commit` and `using` are those of `disconnect`.
    """
    refuse_on_event_loop("unsubscribe")
    check_name(room)
    order(removal(user=user, client=client, room=room, reason=reason), on_commit, using)


def notify(
    text: str,
    user: User = None,
    *,
    client: str = "",
    room: str = "",
    on_commit: bool = True,
    using: str | None = None,
) -> None:
    """Send `text` as a notice to `user`, to one connection (`client`), or to everybody in `room`.
    If several of these are given, all of them have to match. `on_commit` and `using` are those of
    `disconnect`.

    Only current connections receive the notice, and it is not stored. Raises `LayerUnavailable`,
    and `ValueError` if no recipient is given or the text is empty or has over 1,000 characters.
    """
    refuse_on_event_loop("notify")
    if user is None and not client and not room:
        raise ValueError("Name the recipients: notify(text, user=…), client=… or room=….")
    if not 0 < len(text) <= NOTICE_MAX:
        raise ValueError(
            f"A notice must have 1 to {NOTICE_MAX} characters; this one has {len(text)}."
        )
    order(notice(text, user=user, client=client, room=room), on_commit, using)


def recheck(
    user: User = None,
    *,
    room: str | None = None,
    on_commit: bool = True,
    using: str | None = None,
) -> None:
    """Compute the rights of open connections again: those of `user`, those in `room`, or all.

    Call this after changes for which Django sends no signal: `QuerySet.update()`, `bulk_*`, raw
    SQL, and the site's own tables that its rules read. Raises `LayerUnavailable`. `on_commit` and
    `using` are those of `disconnect`.
    """
    refuse_on_event_loop("recheck")
    order(review(user=user, room=room), on_commit, using)


def order(message: Recheck | Order, on_commit: bool, using: str | None) -> None:
    if on_commit and is_in_transaction(using):
        announce_after_commit(message, using)
    else:
        announce(message)


anotify = twin(notify)
adisconnect = twin(disconnect)
aunsubscribe = twin(unsubscribe)
arecheck = twin(recheck)

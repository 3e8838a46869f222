"""The live connections of all processes: list them, close them, and speak to the people behind."""

from __future__ import annotations

from typing import Any

import msgspec
from asgiref.sync import sync_to_async

from ..codes import CloseCode
from ..concurrency.threads import refuse_on_event_loop
from ..control.announcements import User, announce, notice, removal, review
from ..layers import get_layer
from ..layers.records import Connection, LiveProcess, Process
from ..names import check_name

_decode_process = msgspec.json.Decoder(Process).decode
_decode_connection = msgspec.json.Decoder(Connection).decode


def live_processes() -> list[LiveProcess]:
    """The processes that serve connections, the oldest first. Raises `LayerUnavailable`."""
    found = [
        LiveProcess(_decode_process(info), list(map(_decode_connection, connections)))
        for info, connections in get_layer().live_processes_sync()
    ]
    return sorted(found, key=lambda it: it.process.started_at)


def connections(*, user: Any = None, room: str | None = None) -> list[Connection]:
    """The live connections of all processes, the newest first: of `user` (a user or a primary key),
    in `room`, or all. Raises `LayerUnavailable`."""
    wanted = None if user is None else str(getattr(user, "pk", user))
    found = [
        it
        for alive in live_processes()
        for it in alive.connections
        if (wanted is None or it.user == wanted) and (room is None or room in it.rooms)
    ]
    return sorted(found, key=lambda it: it.since, reverse=True)


NOTICE_MAX = 1_000


def disconnect(
    user: User = None, *, session: str = "", client: str = "", reason: str = "", code: int = 3503
) -> None:
    """Close connections at once: all of `user` (a user or a primary key), those of one sign-in
    (`session`, the `sid` claim of its tokens), or one (`client`, the id of the connection).

    `code` is what clients are told; with 3500 to 3999 they do not come back by themselves.
    Raises `LayerUnavailable`, and `ValueError` where nobody is named.
    """
    refuse_on_event_loop("disconnect")
    if user is None and not session and not client:
        raise ValueError("Say who: disconnect(user=…), session=… or client=….")
    announce(
        removal(user=user, sign_in=session, client=client, code=CloseCode(code), reason=reason)
    )


def unsubscribe(room: str, user: User = None, *, client: str = "", reason: str = "") -> None:
    """Take `user`, one connection, or everybody out of `room`. Rights stay as they are: who may
    enter may come back. Raises `InvalidRoomName` and `LayerUnavailable`."""
    refuse_on_event_loop("unsubscribe")
    check_name(room)
    announce(removal(user=user, client=client, room=room, reason=reason))


def notify(text: str, user: User = None, *, client: str = "", room: str = "") -> None:
    """Show `text` to people as a notice: to `user`, to one connection (`client`), to everybody in
    `room`, or, with more than one of these, to whom all of them mean.

    It reaches who is connected now, once, and is kept nowhere. Raises `LayerUnavailable`, and
    `ValueError` where nobody is named or the text is empty or longer than 1,000 characters.
    """
    refuse_on_event_loop("notify")
    if user is None and not client and not room:
        raise ValueError("Say to whom: notify(text, user=…), client=… or room=….")
    if not 0 < len(text) <= NOTICE_MAX:
        raise ValueError(
            f"A notice has 1 to {NOTICE_MAX} characters, and this one has {len(text)}."
        )
    announce(notice(text, user=user, client=client, room=room))


def recheck(user: User = None, *, room: str | None = None) -> None:
    """Compute the rights of open connections anew: of `user`, in `room`, or all of them.

    For changes that Django sends no signal of: `QuerySet.update()`, `bulk_*`, raw SQL, and tables
    of the site's own that its rules read. Raises `LayerUnavailable`.
    """
    refuse_on_event_loop("recheck")
    announce(review(user=user, room=room))


anotify = sync_to_async(notify, thread_sensitive=False)
adisconnect = sync_to_async(disconnect, thread_sensitive=False)
aunsubscribe = sync_to_async(unsubscribe, thread_sensitive=False)
arecheck = sync_to_async(recheck, thread_sensitive=False)

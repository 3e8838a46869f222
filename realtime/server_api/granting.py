"""Grants: the site lets one user into one room for some time, whatever the rules say."""

from __future__ import annotations

from typing import Any

from ..authentication import subscription_tokens
from ..authentication.subscription_tokens import LONGEST_SECONDS
from ..concurrency.threads import refuse_on_event_loop
from ..control.announcements import User, revocation
from ..names import check_name, is_personal
from .connections import order
from .personal import key_of
from .twins import twin

SECONDS = 3_600


def grant(room: str, *, user: Any, seconds: float = SECONDS) -> str:
    """Return a subscription token, with which `user` (a user or a primary key) may join `room` and
    read there for `seconds`, 30 days at most.

    It is the `token` of a subscription in the SDKs. Nothing is stored, so it works in coroutines
    too. Raises `ValueError` for nobody, for a personal room and for a wrong time, and
    `InvalidRoomName`.
    """
    check_name(room)
    if is_personal(room):
        raise ValueError("Nothing opens a personal room to somebody else.")
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError(f"A grant ends after 1 to {LONGEST_SECONDS:,} seconds, not {seconds!r}.")
    return subscription_tokens.issue(room, str(key_of(user)), seconds)


def revoke(
    room: str,
    user: User = None,
    *,
    on_commit: bool = True,
    using: str | None = None,
) -> None:
    """Take back what was granted in `room` until now: to `user`, or to everybody.

    Tokens of that time are not accepted any more, and who is in the room only by one is taken out.
    Rights stay as they are. Raises `InvalidRoomName` and `LayerUnavailable`. `on_commit` and
    `using` are those of `disconnect`.
    """
    refuse_on_event_loop("revoke")
    check_name(room)
    order(revocation(user=user, room=room), on_commit, using)


arevoke = twin(revoke)

"""What processes tell each other about connections: who has to go, whose rights to review."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models import Model
from rest_framework_simplejwt.settings import api_settings

from ..changes import changes
from ..exceptions import LayerUnavailable
from ..layers import get_layer
from ..layers.base import NOTICE, RECHECK, REMOVAL
from ..layers.groups import CONTROL_GROUP

logger = logging.getLogger("realtime.announcements")

User = Any
"""A user or its primary key; None is everybody."""
Announcement = dict[str, Any]


def removal(
    *,
    user: User = None,
    session: str = "",
    client: str = "",
    room: str = "",
    code: int = 0,
    reason: str = "",
) -> Announcement:
    """Connections are closed with `code`, or are taken out of `room` where there is one."""
    return {
        "type": REMOVAL,
        "user": _user_id(user),
        "session": session,
        "client": client,
        "room": room,
        "code": int(code),
        "reason": reason,
    }


def notice(text: str, *, user: User = None, client: str = "", room: str = "") -> Announcement:
    """People are shown a text."""
    return {"type": NOTICE, "user": _user_id(user), "client": client, "room": room, "text": text}


def review(
    *, user: User = None, room: str | None = None, own: Sequence[str] = (), password: str = ""
) -> Announcement:
    """Rights are computed anew. The sign-ins `own` have set the password themselves that is told by
    the digest `password`."""
    return {
        "type": RECHECK,
        "user": _user_id(user),
        "room": room,
        "own": list(own),
        "password": password,
    }


def announce(message: Announcement, *, may_lock_out: bool = True) -> None:
    """Tell all processes now. Raises `LayerUnavailable`."""
    layer = get_layer()
    if message["type"] == RECHECK:
        # This process knows at once, the others when they hear of it.
        changes.record(message["user"], message["room"])
        if may_lock_out:
            # Before anybody is told: who comes back meanwhile must find it.
            layer.mark_changes_sync([(message["user"], message["room"])])
    elif message["type"] == REMOVAL and message["session"]:
        lifetime = api_settings.ACCESS_TOKEN_LIFETIME.total_seconds()
        layer.end_sign_in_sync(message["session"], lifetime)
    layer.group_send_sync(CONTROL_GROUP, message)


def announce_after_commit(
    message: Announcement, using: str | None = None, *, may_lock_out: bool = True
) -> None:
    """Tell all processes as soon as the running transaction is committed. Raises nothing: what was
    saved is saved, and that nobody could be told is no reason to fail the request."""

    def send() -> None:
        try:
            announce(message, may_lock_out=may_lock_out)
        except LayerUnavailable:
            logger.warning(
                "a change could not be told to the open connections; "
                "they are checked as soon as Redis is back"
            )
        except ImproperlyConfigured as error:
            logger.error("a change could not be told to the open connections: %s", error)

    transaction.on_commit(send, using=using, robust=True)


def _user_id(user: User) -> str | None:
    return None if user is None else str(user.pk if isinstance(user, Model) else user)

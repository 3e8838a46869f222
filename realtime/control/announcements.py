"""Announcements to all processes: connections to close, rights to review, notices to show."""

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
from ..layers.groups import CONTROL_GROUP
from .messages import Message, Notice, Recheck, Removal, to_dict

logger = logging.getLogger("realtime.announcements")

User = Any
"""A user or its primary key; None means all users."""


def removal(
    *,
    user: User = None,
    sign_in: str = "",
    client: str = "",
    room: str = "",
    code: int = 0,
    reason: str = "",
) -> Removal:
    """Connections are closed with `code`, or leave `room` if there is one."""
    return Removal(_user_id(user), sign_in, client, room, int(code), reason)


def notice(text: str, *, user: User = None, client: str = "", room: str = "") -> Notice:
    """People are shown a text."""
    return Notice(_user_id(user), client, room, text)


def review(
    *, user: User = None, room: str | None = None, own: Sequence[str] = (), password: str = ""
) -> Recheck:
    """Rights are computed again. The sign-ins `own` have saved the password themselves that has the
    digest `password`."""
    return Recheck(_user_id(user), room, list(own), password)


def announce(message: Message, *, may_lock_out: bool = True) -> None:
    """Announce a message to all processes now. Raises `LayerUnavailable`."""
    layer = get_layer()
    if isinstance(message, Recheck):
        # This process knows now; the others when they receive the message.
        changes.record(message.user, message.room)
        if may_lock_out:
            # Before the message: a client that comes back at once must find it.
            layer.mark_changes_sync([(message.user, message.room)])
    elif isinstance(message, Removal) and message.sign_in:
        lifetime = api_settings.ACCESS_TOKEN_LIFETIME.total_seconds()
        layer.end_sign_in_sync(message.sign_in, lifetime)
    layer.group_send_sync(CONTROL_GROUP, to_dict(message))


def announce_after_commit(
    message: Message, using: str | None = None, *, may_lock_out: bool = True
) -> None:
    """Announce a message as soon as the running transaction is committed.

    Raises nothing: the data is saved, so the request must not fail because Redis is away.
    """

    def send() -> None:
        try:
            announce(message, may_lock_out=may_lock_out)
        except LayerUnavailable:
            logger.warning(
                "a change could not be announced to open connections; "
                "they are checked as soon as Redis is back"
            )
        except ImproperlyConfigured as error:
            logger.error("a change could not be announced to open connections: %s", error)

    transaction.on_commit(send, using=using, robust=True)


def _user_id(user: User) -> str | None:
    return None if user is None else str(user.pk if isinstance(user, Model) else user)

"""What changes in Django reaches the open sockets of all processes, after the commit."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save
from rest_framework_simplejwt.settings import api_settings

from .authentication import django_sign_in, password_digest
from .changes import changes
from .exceptions import LayerUnavailable
from .layers import get_layer
from .layers.base import CONTROL_GROUP, NOTICE, RECHECK, REMOVAL
from .models import Membership, Room
from .protocols.codes import CloseCode
from .publishing import check_name, refuse_on_event_loop
from .sign_ins import of_running_request

logger = logging.getLogger("realtime.authority")

User = Any
NOTICE_MAX = 1_000
_WHO_MAY_ENTER = ("name", "access", "archived")
_M2M_DONE = ("post_add", "post_remove", "post_clear")


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
    _broadcast(
        {
            "type": REMOVAL,
            "user": None if user is None else _user_id(user),
            "session": session,
            "client": client,
            "room": "",
            "code": int(CloseCode(code)),
            "reason": reason,
        }
    )


def unsubscribe(room: str, user: User = None, *, client: str = "", reason: str = "") -> None:
    """Take `user`, one connection, or everybody out of `room`. Rights stay as they are: who may
    enter may come back. Raises `InvalidRoomName` and `LayerUnavailable`."""
    refuse_on_event_loop("unsubscribe")
    check_name(room)
    _broadcast(
        {
            "type": REMOVAL,
            "user": None if user is None else _user_id(user),
            "session": "",
            "client": client,
            "room": room,
            "code": 0,
            "reason": reason,
        }
    )


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
    _broadcast(
        {
            "type": NOTICE,
            "user": None if user is None else _user_id(user),
            "client": client,
            "room": room,
            "text": text,
        }
    )


def recheck(user: User = None, *, room: str | None = None) -> None:
    """Compute the rights of open connections anew: of `user`, in `room`, or all of them.

    For changes that Django sends no signal of: `QuerySet.update()`, `bulk_*`, raw SQL, and tables
    of the site's own that its rules read. Raises `LayerUnavailable`.
    """
    refuse_on_event_loop("recheck")
    _broadcast(_recheck(None if user is None else _user_id(user), room))


anotify = sync_to_async(notify, thread_sensitive=False)
adisconnect = sync_to_async(disconnect, thread_sensitive=False)
aunsubscribe = sync_to_async(unsubscribe, thread_sensitive=False)
arecheck = sync_to_async(recheck, thread_sensitive=False)


def connect_signals() -> None:
    """Listen to everything that rights are made of. Called once, when Django is ready."""
    user_model = get_user_model()
    connect = partial(_connect, weak=False)
    connect(pre_save, _user_to_be_saved, user_model)
    connect(post_save, _user_saved, user_model)
    connect(pre_delete, _user_deleted, user_model)
    for field in ("groups", "user_permissions"):
        relation = getattr(user_model, field, None)
        if relation is not None:
            connect(m2m_changed, _user_relation_changed, relation.through)
    for model in (Group, Permission):
        connect(post_delete, _anything_changed, model)
    connect(m2m_changed, _group_permissions_changed, Group.permissions.through)
    connect(m2m_changed, _room_groups_changed, Room.groups.through)
    connect(pre_save, _room_to_be_saved, Room)
    connect(post_save, _room_saved, Room)
    connect(post_delete, _room_deleted, Room)
    connect(pre_save, _membership_to_be_saved, Membership)
    connect(post_save, _membership_saved, Membership)
    connect(post_delete, _membership_deleted, Membership)
    if apps.is_installed("django.contrib.sessions"):
        user_logged_out.connect(_signed_out, dispatch_uid="realtime.signed_out")


def _connect(signal: Any, receiver: Any, sender: type[Model], *, weak: bool) -> None:
    uid = f"realtime.{receiver.__name__}.{sender._meta.label}"
    signal.connect(receiver, sender=sender, weak=weak, dispatch_uid=uid)


# What changed, and whom it concerns


def _who_may_sign_in() -> list[str]:
    fields = {field.name for field in get_user_model()._meta.concrete_fields}
    return [it for it in ("is_active", "is_superuser", "is_staff", "password") if it in fields]


def _user_to_be_saved(instance: Any, using: str, update_fields: Any = None, **kwargs: Any) -> None:
    fields = _who_may_sign_in()
    if update_fields is None or not set(fields).isdisjoint(update_fields):
        _remember(instance, using, *fields)
    else:
        instance.__dict__["_realtime_held"] = tuple(getattr(instance, it) for it in fields)


def _user_saved(
    instance: Any, created: bool, using: str, update_fields: Any = None, **kwargs: Any
) -> None:
    before, now = _remembered(instance), tuple(getattr(instance, it) for it in _who_may_sign_in())
    # Every sign-in writes this field, and it gives no right.
    if created or set(update_fields or ()) == {"last_login"}:
        return
    user = _user_id(instance)
    message = _recheck(user, None)
    message |= {"own": of_running_request(), "password": password_digest(instance)}
    _broadcast_after_commit(message, using, may_lock_out=before != now)


def _user_deleted(instance: Any, using: str, **kwargs: Any) -> None:
    _tell(using, user=_user_id(instance))


def _user_relation_changed(
    instance: Any, action: str, reverse: bool, pk_set: Any, using: str, **kwargs: Any
) -> None:
    if action not in _M2M_DONE:
        return
    if not reverse:
        _tell(using, user=_user_id(instance))
    elif pk_set is None:
        _tell(using)  # all were taken out, and they can't be asked for any more
    else:
        for pk in pk_set:
            _tell(using, user=str(pk))


def _group_permissions_changed(action: str, using: str, **kwargs: Any) -> None:
    if action in _M2M_DONE:
        _tell(using)


def _anything_changed(using: str, **kwargs: Any) -> None:
    _tell(using)


def _room_groups_changed(
    instance: Any, action: str, reverse: bool, using: str, **kwargs: Any
) -> None:
    if action in _M2M_DONE:
        _tell(using, room=None if reverse else instance.name)


def _room_to_be_saved(instance: Room, using: str, **kwargs: Any) -> None:
    _remember(instance, using, *_WHO_MAY_ENTER)


def _room_saved(instance: Room, using: str, **kwargs: Any) -> None:
    before = _remembered(instance)
    now = tuple(getattr(instance, field) for field in _WHO_MAY_ENTER)
    if before is not None and before[0] != instance.name:
        _tell(using, room=before[0])
    _tell(using, room=instance.name, may_lock_out=before != now)


def _room_deleted(instance: Room, using: str, **kwargs: Any) -> None:
    _tell(using, room=instance.name)


def _membership_to_be_saved(instance: Membership, using: str, **kwargs: Any) -> None:
    _remember(instance, using, "user_id", "room__name")


def _membership_saved(instance: Membership, using: str, **kwargs: Any) -> None:
    before, now = _remembered(instance), (instance.user_id, instance.room.name)
    if before is not None and before != now:
        _tell(using, user=str(before[0]), room=before[1])
    _tell(using, user=str(instance.user_id), room=instance.room.name)


def _membership_deleted(instance: Membership, using: str, **kwargs: Any) -> None:
    _tell(using, user=str(instance.user_id), room=instance.room.name)


def _remember(instance: Model, using: str, *fields: str) -> None:
    """Keep what the database holds until it has been saved over. Nothing is told before that:
    outside a transaction it would be told at once, and looked at too early."""
    rows = type(instance)._default_manager.using(using).filter(pk=instance.pk)
    held = None if instance.pk is None else rows.values_list(*fields).first()
    instance.__dict__["_realtime_held"] = held


def _remembered(instance: Model) -> Any:
    return instance.__dict__.pop("_realtime_held", None)


def _signed_out(request: Any, **kwargs: Any) -> None:
    session_key = getattr(getattr(request, "session", None), "session_key", None)
    if session_key:
        _broadcast_after_commit(
            {
                "type": REMOVAL,
                "user": None,
                "session": django_sign_in(session_key),
                "client": "",
                "room": "",
                "code": int(CloseCode.INVALID_TOKEN),
                "reason": "signed out",
            }
        )


# How it is told


def _tell(
    using: str, *, user: str | None = None, room: str | None = None, may_lock_out: bool = True
) -> None:
    _broadcast_after_commit(_recheck(user, room), using, may_lock_out=may_lock_out)


def _recheck(user: str | None, room: str | None) -> dict[str, Any]:
    return {"type": RECHECK, "user": user, "room": room, "own": [], "password": ""}


def _broadcast_after_commit(
    message: dict[str, Any], using: str | None = None, *, may_lock_out: bool = True
) -> None:
    def send() -> None:
        # What was saved is saved: that nobody could be told is no reason to fail the request.
        try:
            _broadcast(message, may_lock_out=may_lock_out)
        except LayerUnavailable:
            logger.warning(
                "a change could not be told to the open connections; "
                "they are checked as soon as Redis is back"
            )
        except ImproperlyConfigured as error:
            logger.error("a change could not be told to the open connections: %s", error)

    transaction.on_commit(send, using=using, robust=True)


def _broadcast(message: dict[str, Any], *, may_lock_out: bool = True) -> None:
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


def _user_id(user: User) -> str:
    return str(user.pk if isinstance(user, Model) else user)

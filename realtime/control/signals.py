"""Django's signals: changes reach the open connections of all processes, after the commit."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.auth.signals import user_logged_out
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save

from ..authentication import django_sign_in
from ..authentication.identity import password_digest
from ..codes import CloseCode
from ..models import Membership, Room
from .announcements import announce_after_commit, removal, review
from .sign_ins import of_running_request

_ACCESS_FIELDS = ("name", "access", "archived")
_M2M_DONE = ("post_add", "post_remove", "post_clear")


def connect() -> None:
    """Listen to everything that rights are made of. Called once, when Django is ready."""
    user_model = get_user_model()
    _listen(pre_save, _user_to_be_saved, user_model)
    _listen(post_save, _user_saved, user_model)
    _listen(pre_delete, _user_deleted, user_model)
    for field in ("groups", "user_permissions"):
        relation = getattr(user_model, field, None)
        if relation is not None:
            _listen(m2m_changed, _user_relation_changed, relation.through)
    for model in (Group, Permission):
        _listen(post_delete, _anything_changed, model)
    _listen(m2m_changed, _group_permissions_changed, Group.permissions.through)
    _listen(m2m_changed, _room_groups_changed, Room.groups.through)
    _listen(pre_save, _room_to_be_saved, Room)
    _listen(post_save, _room_saved, Room)
    _listen(post_delete, _room_deleted, Room)
    _listen(pre_save, _membership_to_be_saved, Membership)
    _listen(post_save, _membership_saved, Membership)
    _listen(post_delete, _membership_deleted, Membership)
    if apps.is_installed("django.contrib.sessions"):
        user_logged_out.connect(_signed_out, dispatch_uid="realtime.signed_out")


def _listen(signal: Any, receiver: Any, sender: type[Model]) -> None:
    uid = f"realtime.{receiver.__name__}.{sender._meta.label}"
    signal.connect(receiver, sender=sender, weak=False, dispatch_uid=uid)


# What changed, and whom it concerns


def _sign_in_fields() -> list[str]:
    fields = {field.name for field in get_user_model()._meta.concrete_fields}
    return [
        name for name in ("is_active", "is_superuser", "is_staff", "password") if name in fields
    ]


def _user_to_be_saved(instance: Any, using: str, update_fields: Any = None, **kwargs: Any) -> None:
    fields = _sign_in_fields()
    if update_fields is None or not set(fields).isdisjoint(update_fields):
        _remember(instance, using, *fields)
    else:
        instance.__dict__["_realtime_held"] = tuple(getattr(instance, name) for name in fields)


def _user_saved(
    instance: Any, created: bool, using: str, update_fields: Any = None, **kwargs: Any
) -> None:
    before, now = (
        _remembered(instance),
        tuple(getattr(instance, name) for name in _sign_in_fields()),
    )
    # Every sign-in writes this field, and it gives no right.
    if created or set(update_fields or ()) == {"last_login"}:
        return
    message = review(user=instance, own=of_running_request(), password=password_digest(instance))
    announce_after_commit(message, using, may_lock_out=before != now)


def _user_deleted(instance: Any, using: str, **kwargs: Any) -> None:
    _announce(using, user=instance)


def _user_relation_changed(
    instance: Any, action: str, reverse: bool, pk_set: Any, using: str, **kwargs: Any
) -> None:
    if action not in _M2M_DONE:
        return
    if not reverse:
        _announce(using, user=instance)
    elif pk_set is None:
        _announce(using)  # all were taken out, and they can't be asked for any more
    else:
        for pk in pk_set:
            _announce(using, user=pk)


def _group_permissions_changed(action: str, using: str, **kwargs: Any) -> None:
    if action in _M2M_DONE:
        _announce(using)


def _anything_changed(using: str, **kwargs: Any) -> None:
    _announce(using)


def _room_groups_changed(
    instance: Any, action: str, reverse: bool, using: str, **kwargs: Any
) -> None:
    if action in _M2M_DONE:
        _announce(using, room=None if reverse else instance.name)


def _room_to_be_saved(instance: Room, using: str, **kwargs: Any) -> None:
    _remember(instance, using, *_ACCESS_FIELDS)


def _room_saved(instance: Room, using: str, **kwargs: Any) -> None:
    before = _remembered(instance)
    now = tuple(getattr(instance, field) for field in _ACCESS_FIELDS)
    if before is not None and before[0] != instance.name:
        _announce(using, room=before[0])
    _announce(using, room=instance.name, may_lock_out=before != now)


def _room_deleted(instance: Room, using: str, **kwargs: Any) -> None:
    _announce(using, room=instance.name)


def _membership_to_be_saved(instance: Membership, using: str, **kwargs: Any) -> None:
    _remember(instance, using, "user_id", "room__name")


def _membership_saved(instance: Membership, using: str, **kwargs: Any) -> None:
    before, now = _remembered(instance), (instance.user_id, instance.room.name)
    if before is not None and before != now:
        _announce(using, user=before[0], room=before[1])
    _announce(using, user=instance.user_id, room=instance.room.name)


def _membership_deleted(instance: Membership, using: str, **kwargs: Any) -> None:
    _announce(using, user=instance.user_id, room=instance.room.name)


def _remember(instance: Model, using: str, *fields: str) -> None:
    """Keep what the database holds until it is overwritten. Nothing is announced before that:
    outside a transaction the announcement would go out at once, and be looked at too early."""
    rows = type(instance)._default_manager.using(using).filter(pk=instance.pk)
    held = None if instance.pk is None else rows.values_list(*fields).first()
    instance.__dict__["_realtime_held"] = held


def _remembered(instance: Model) -> Any:
    return instance.__dict__.pop("_realtime_held", None)


def _signed_out(request: Any, **kwargs: Any) -> None:
    session_key = getattr(getattr(request, "session", None), "session_key", None)
    if session_key:
        announce_after_commit(
            removal(
                sign_in=django_sign_in(session_key),
                code=CloseCode.INVALID_TOKEN,
                reason="signed out",
            )
        )


def _announce(
    using: str, *, user: Any = None, room: str | None = None, may_lock_out: bool = True
) -> None:
    announce_after_commit(review(user=user, room=room), using, may_lock_out=may_lock_out)

"""Django's signals: changes reach the open connections of all processes, after the commit."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.auth.signals import user_logged_out
from django.db.models import Model
from django.db.models.signals import (
    class_prepared,
    m2m_changed,
    post_delete,
    post_init,
    post_save,
    pre_delete,
)

from .. import user_models
from ..authentication import django_sign_in
from ..authentication.identity import digest
from ..authentication.rehashing import is_rehashed
from ..codes import CloseCode
from ..models import Membership, Room, memberships_deleted
from .announcements import announce_after_commit, announce_change, removal
from .loaded_values import LoadedValues
from .messages import Audience
from .sign_ins import of_running_request
from .transactions import MOST_ANNOUNCED, Change

_USER_COLUMNS = ("is_active", "is_superuser", "is_staff", "password")
_ACCESS_COLUMNS = ("name", "access", "archived")
_M2M_DONE = ("post_add", "post_remove", "post_clear")

_of_user = LoadedValues(_USER_COLUMNS)
_of_room = LoadedValues((*_ACCESS_COLUMNS, "publishing"))
_of_membership = LoadedValues(("room_id", "user_id", "role", "muted", "expires_at"))


def connect() -> None:
    """Listen to everything that rights are made of. Called once, when Django is ready."""
    for model in apps.get_models(include_auto_created=True):
        _watch(model)
    # Models that the site makes later, such as those of tests.
    class_prepared.connect(_prepared, dispatch_uid="realtime.class_prepared")
    memberships_deleted.connect(_memberships_deleted, dispatch_uid="realtime.memberships_deleted")
    if apps.is_installed("django.contrib.sessions"):
        user_logged_out.connect(_signed_out, dispatch_uid="realtime.signed_out")


def _prepared(sender: type[Model], **kwargs: Any) -> None:
    _watch(sender)


def _watch(model: type[Model]) -> None:
    """Listen to a model if rights are made of it.

    Django sends a signal with the class that is saved: proxies and children are senders of their
    own. A listener to all classes would be simpler, but makes Django load whatever a site deletes.
    """
    if issubclass(model, get_user_model()):
        _listen(post_init, _load_user, model)
        _listen(post_save, _user_saved, model)
        _listen(pre_delete, _user_deleted, model)
        if model is get_user_model():
            for name in user_models.RELATIONS:
                _watch_relation(user_models.many_to_many(name))
    elif issubclass(model, Group):
        _listen(pre_delete, _anything_changed, model)
        _listen(m2m_changed, _group_permissions_changed, Group.permissions.through)
    elif issubclass(model, Permission):
        _listen(pre_delete, _anything_changed, model)
    elif issubclass(model, Room):
        _listen(post_init, _load_room, model)
        _listen(post_save, _room_saved, model)
        _listen(pre_delete, _room_deleted, model)
        _listen(m2m_changed, _room_groups_changed, Room.groups.through)
    elif issubclass(model, Membership):
        _listen(post_init, _load_membership, model)
        _listen(post_save, _membership_saved, model)
        if model is not Membership:
            # Memberships themselves report it: see `models.MembershipQuerySet.delete`.
            _listen(pre_delete, _membership_deleted, model)


def _watch_relation(field: Any) -> None:
    """Listen to a many-to-many relation of users, such as `groups`."""
    if field is None:
        return
    through: Any = field.remote_field.through
    _listen(m2m_changed, _user_relation_changed, through)
    if not through._meta.auto_created:
        # The site's own model, which it may also save and delete by itself.
        user_column = through._meta.get_field(field.m2m_field_name()).attname
        _of_row[through] = LoadedValues((user_column,))
        _listen(post_init, _load_row, through)
        _listen(post_save, _row_saved, through)
        _listen(post_delete, _row_deleted, through)


def _listen(signal: Any, receiver: Callable[..., None], sender: type[Model]) -> None:
    uid = f"realtime.{receiver.__name__}.{sender._meta.label}"
    signal.connect(receiver, sender=sender, weak=False, dispatch_uid=uid)


# Users


def _load_user(instance: Model, **kwargs: Any) -> None:
    _of_user.remember(instance)


def _user_saved(
    instance: Any, created: bool, using: str, update_fields: Any = None, **kwargs: Any
) -> None:
    changed = _of_user.changed(instance, update_fields)
    before = _of_user.before(instance)
    _of_user.remember_saved(instance, update_fields)
    # Every sign-in writes this field, and it gives no right.
    if created or set(update_fields or ()) == {"last_login"}:
        return
    own, password, rehashed = [], "", ""
    if "password" in changed:
        old, new = before.get("password"), instance.password
        own, password = of_running_request(), digest(new)
        if old is not None and is_rehashed(instance, old, new, update_fields):
            changed.discard("password")
            rehashed = digest(old)
    _announce(
        using,
        user=instance.pk,
        audience=Audience.EVERYONE if changed else Audience.NOBODY,
        may_lock_out=bool(changed),
        own=own,
        password=password,
        rehashed=rehashed,
    )


def _user_deleted(instance: Any, using: str, **kwargs: Any) -> None:
    _announce(using, user=instance.pk)


def _user_relation_changed(
    instance: Any, action: str, reverse: bool, pk_set: Any, using: str, **kwargs: Any
) -> None:
    if action not in _M2M_DONE or pk_set == set():
        return
    if not reverse:
        _announce(using, user=instance.pk)
    elif pk_set is None or len(pk_set) > MOST_ANNOUNCED:
        _announce(using)  # all were taken out, and they can't be asked for any more
    else:
        for pk in pk_set:
            _announce(using, user=pk)


_of_row: dict[type[Model], LoadedValues] = {}
"""The column with the user's key, of each model that the site has between users and groups."""


def _load_row(sender: Any, instance: Any, **kwargs: Any) -> None:
    _of_row[sender].remember(instance)


def _row_saved(sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    (column,) = _of_row[sender].columns
    before = _of_row[sender].before(instance).get(column)
    _of_row[sender].remember_saved(instance, None)
    for user in {before, getattr(instance, column)} - {None}:
        _announce(using, user=user)


def _row_deleted(sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    (column,) = _of_row[sender].columns
    _announce(using, user=getattr(instance, column))


def _group_permissions_changed(action: str, using: str, **kwargs: Any) -> None:
    if action in _M2M_DONE and kwargs.get("pk_set") != set():
        _announce(using)


def _anything_changed(using: str, **kwargs: Any) -> None:
    _announce(using)


# Rooms


def _load_room(instance: Room, **kwargs: Any) -> None:
    _of_room.remember(instance)


def _room_saved(
    instance: Room, created: bool, using: str, update_fields: Any = None, **kwargs: Any
) -> None:
    changed = _of_room.changed(instance, update_fields)
    before = _of_room.before(instance)
    _of_room.remember_saved(instance, update_fields)
    if created:
        # The name may be that of a room before it.
        _announce(using, room=instance.name, audience=Audience.ENTITLED)
        return
    may_lock_out = not changed.isdisjoint(_ACCESS_COLUMNS)
    if "name" in changed and "name" in before:
        _announce(using, room=before["name"])
    _announce(
        using,
        room=instance.name,
        audience=Audience.EVERYONE if changed else Audience.NOBODY,
        may_lock_out=may_lock_out,
    )


def _room_deleted(instance: Room, using: str, **kwargs: Any) -> None:
    _announce(using, room=instance.name)


def _room_groups_changed(
    instance: Any, action: str, reverse: bool, using: str, **kwargs: Any
) -> None:
    if action not in _M2M_DONE or kwargs.get("pk_set") == set():
        return
    audience = Audience.ENTITLED if action == "post_add" else Audience.EVERYONE
    _announce(using, room=None if reverse else instance.name, audience=audience)


# Memberships


def _load_membership(instance: Membership, **kwargs: Any) -> None:
    _of_membership.remember(instance)


def _membership_saved(
    instance: Membership, created: bool, using: str, update_fields: Any = None, **kwargs: Any
) -> None:
    written = _columns(Membership, update_fields)
    changed = _of_membership.changed(instance, written)
    before = _of_membership.before(instance)
    _of_membership.remember_saved(instance, written)
    if not created and not changed.isdisjoint({"room_id", "user_id"}):
        # It was somebody else's, or in another room.
        was_in = before.get("room_id", instance.room_id)
        _announce(using, user=before.get("user_id"), room=was_in)
    _announce(
        using,
        user=instance.user_id,
        room=_room_of(instance),
        audience=Audience.EVERYONE if changed or created else Audience.NOBODY,
        may_lock_out=bool(changed or created),
    )


def _membership_deleted(instance: Membership, using: str, **kwargs: Any) -> None:
    _announce(using, user=instance.user_id, room=_room_of(instance))


def _memberships_deleted(rows: list[tuple[Any, str]] | None, using: str, **kwargs: Any) -> None:
    if rows is None:
        _announce(using)  # too many to name them
        return
    for user, room in rows:
        _announce(using, user=user, room=room)


def _room_of(instance: Membership) -> str | int:
    """Return the name of the room if it was read already, else its primary key. Fixtures may load
    the membership before the room."""
    if Membership.room.is_cached(instance):
        return instance.room.name
    return int(instance.room_id)


def _columns(model: type[Model], update_fields: Collection[str] | None) -> set[str] | None:
    """Return the columns of fields: `update_fields` may have `room` or `room_id`."""
    if update_fields is None:
        return None
    fields = [field for field in model._meta.concrete_fields if field.name in update_fields]
    return {field.attname for field in fields} | set(update_fields)


# Sign-ins


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


def _announce(using: str, *, user: Any = None, **change: Any) -> None:
    announce_change(Change(user=None if user is None else str(user), **change), using)

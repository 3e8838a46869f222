"""Receivers of Django's signals about users, and the groups and permissions that they have."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Model

from ..authentication import rehashing
from ..authentication.identity import digest
from .announcements import announce_saved
from .loaded_values import LoadedValues
from .messages import Audience
from .sign_ins import of_running_request
from .transactions import MOST_ANNOUNCED

M2M_DONE = ("post_add", "post_remove", "post_clear")

_of_user = LoadedValues(("is_active", "is_superuser", "is_staff", "password"))


def load_user(instance: Model, **kwargs: Any) -> None:
    _of_user.remember(instance)


def before_user_is_saved(instance: Model, **kwargs: Any) -> None:
    rehashing.before_save(instance)


def user_saved(
    instance: Any, created: bool, using: str, update_fields: Any = None, **kwargs: Any
) -> None:
    changed = _of_user.changed(instance, update_fields)
    before = _of_user.before(instance)
    _of_user.remember_saved(instance, update_fields)
    # Every sign-in writes this field, and it gives no right.
    if created or set(update_fields or ()) == {"last_login"}:
        rehashing.after_save(instance, update_fields)
        if created and _may_extend_a_user(instance):
            announce_saved(using, user=instance.pk)
        return
    own, password, rehashed = [], "", ""
    if "password" in changed:
        old, new = before.get("password"), instance.password
        own, password = of_running_request(), digest(new)
        if old is not None and rehashing.is_rehashed(instance, old, new, update_fields):
            changed.discard("password")
            rehashed = digest(old)
    rehashing.after_save(instance, update_fields)
    announce_saved(
        using,
        user=instance.pk,
        audience=Audience.EVERYONE if changed else Audience.NOBODY,
        may_lock_out=bool(changed),
        own=own,
        password=password,
        rehashed=rehashed,
    )


def _may_extend_a_user(instance: Model) -> bool:
    """Return whether a row of a child of the user model was created, which then writes the columns
    of a user who may have been there before."""
    model: Any = instance._meta.concrete_model
    return get_user_model() in model._meta.get_parent_list()


def user_deleted(instance: Any, using: str, **kwargs: Any) -> None:
    announce_saved(using, user=instance.pk)


def user_relation_changed(
    instance: Any, action: str, reverse: bool, pk_set: Any, using: str, **kwargs: Any
) -> None:
    if action not in M2M_DONE or pk_set == set():
        return
    if not reverse:
        announce_saved(using, user=instance.pk)
    elif pk_set is None or len(pk_set) > MOST_ANNOUNCED:
        announce_saved(using)  # all were taken out, and they can't be asked for any more
    else:
        for pk in pk_set:
            announce_saved(using, user=pk)


of_row: dict[type[Model], LoadedValues] = {}
"""The column with the user's key, of each model that the site has between users and groups."""


def load_row(sender: Any, instance: Any, **kwargs: Any) -> None:
    of_row[sender].remember(instance)


def row_saved(sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    (column,) = of_row[sender].columns
    before = of_row[sender].before(instance).get(column)
    of_row[sender].remember_saved(instance, None)
    for user in {before, getattr(instance, column)} - {None}:
        announce_saved(using, user=user)


def row_deleted(sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    (column,) = of_row[sender].columns
    announce_saved(using, user=getattr(instance, column))

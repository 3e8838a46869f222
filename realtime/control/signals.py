"""Django's signals: changes reach the open connections of all processes, after the commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models import Model
from django.db.models.signals import (
    class_prepared,
    m2m_changed,
    post_delete,
    post_init,
    post_save,
    pre_delete,
    pre_save,
)

from .. import user_models
from ..authentication import django_sign_in
from ..codes import CloseCode
from ..models import Membership, Room, memberships_deleted
from . import oauth_signals, room_signals, sign_ins, user_signals
from .announcements import announce_after_commit, announce_saved, removal
from .loaded_values import LoadedValues


def connect() -> None:
    """Listen to everything that rights are made of. Called once, when Django is ready."""
    for model in apps.get_models(include_auto_created=True):
        _watch(model)
    # Models that the site makes later, such as those of tests.
    class_prepared.connect(_prepared, dispatch_uid="realtime.class_prepared")
    memberships_deleted.connect(
        room_signals.memberships_deleted, dispatch_uid="realtime.memberships_deleted"
    )
    oauth_signals.connect()
    if apps.is_installed("django.contrib.sessions"):
        user_logged_out.connect(_signed_out, dispatch_uid="realtime.signed_out")
        user_logged_in.connect(sign_ins.signed_in, dispatch_uid="realtime.signed_in")


def _prepared(sender: type[Model], **kwargs: Any) -> None:
    _watch(sender)


def _watch(model: type[Model]) -> None:
    """Listen to a model if rights are made of it.

    Django sends a signal with the class that is saved: proxies and children are senders of their
    own. A listener to all classes would be simpler, but makes Django load whatever a site deletes.
    """
    user_model = get_user_model()
    if issubclass(model, user_model) or model in user_model._meta.get_parent_list():
        _listen(post_init, user_signals.load_user, model)
        _listen(pre_save, user_signals.before_user_is_saved, model)
        _listen(post_save, user_signals.user_saved, model)
        _listen(pre_delete, user_signals.user_deleted, model)
        if model is user_model:
            for name in user_models.RELATIONS:
                _watch_relation(user_models.many_to_many(name))
    elif issubclass(model, Group):
        _listen(pre_delete, _anything_changed, model)
        _listen(m2m_changed, _group_permissions_changed, Group.permissions.through)
    elif issubclass(model, Permission):
        _listen(pre_delete, _anything_changed, model)
    elif issubclass(model, Room):
        _listen(post_init, room_signals.load_room, model)
        _listen(post_save, room_signals.room_saved, model)
        _listen(pre_delete, room_signals.room_deleted, model)
        _listen(m2m_changed, room_signals.room_groups_changed, Room.groups.through)
    elif issubclass(model, Membership):
        _listen(post_init, room_signals.load_membership, model)
        _listen(post_save, room_signals.membership_saved, model)
        if model is not Membership:
            # Memberships themselves report it: see `models.MembershipQuerySet.delete`.
            _listen(pre_delete, room_signals.membership_deleted, model)


def _watch_relation(field: Any) -> None:
    """Listen to a many-to-many relation of users, such as `groups`."""
    if field is None:
        return
    through: Any = field.remote_field.through
    _listen(m2m_changed, user_signals.user_relation_changed, through)
    if not through._meta.auto_created:
        # The site's own model, which it may also save and delete by itself.
        user_column = through._meta.get_field(field.m2m_field_name()).attname
        user_signals.of_row[through] = LoadedValues((user_column,))
        _listen(post_init, user_signals.load_row, through)
        _listen(post_save, user_signals.row_saved, through)
        _listen(post_delete, user_signals.row_deleted, through)


def _listen(signal: Any, receiver: Callable[..., None], sender: type[Model]) -> None:
    uid = f"realtime.{receiver.__name__}.{sender._meta.label}"
    signal.connect(receiver, sender=sender, weak=False, dispatch_uid=uid)


def _group_permissions_changed(action: str, using: str, **kwargs: Any) -> None:
    if action in user_signals.M2M_DONE and kwargs.get("pk_set") != set():
        announce_saved(using)


def _anything_changed(using: str, **kwargs: Any) -> None:
    announce_saved(using)


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

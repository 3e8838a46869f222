"""The site's user model: its groups, its permissions, and its answer to `has_perm`."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib import auth
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, Group, Permission, PermissionsMixin
from django.core.exceptions import FieldDoesNotExist, FieldError, PermissionDenied
from django.db import DatabaseError
from django.db.models import ManyToManyField, Q, QuerySet

from .exceptions import Rejected
from .sparse_log import SparseLogs

logger = logging.getLogger("realtime.rights")
_failures = SparseLogs(logger)

RELATIONS = ("groups", "user_permissions")


class Relation:
    """The many-to-many relation of users to `model`, or to a child of it."""

    def __init__(self, field: Any, model: type[Any]) -> None:
        self.through: Any = field.remote_field.through
        self.user: str = field.m2m_field_name()
        self.target: str = field.m2m_reverse_field_name()
        self._is_direct = field.related_model._meta.concrete_model is model
        self._users: str = field.related_query_name()

    def of(self, user_id: Any) -> QuerySet[Any]:
        """Return the primary keys that one user is related to, for use in another query."""
        rows = self.through._base_manager.filter(**{self.user: user_id})
        return rows.values(self.target)  # type: ignore[no-any-return]

    def has(self, user_id: Any, path: str = "") -> Q:
        """Return the condition that the user is related to what is at `path`."""
        if self._is_direct:
            # Joins, because Django takes half a millisecond longer to build nested queries.
            return Q(**{"__".join(filter(None, (path, self._users))): user_id})
        return Q(**{f"{path or 'pk'}__in": self.of(user_id)})

    def to(self, targets: QuerySet[Any]) -> Q:
        """Return the condition for users that are related to one of `targets`."""
        rows = self.through._base_manager.filter(**{f"{self.target}__in": targets.values("pk")})
        return Q(pk__in=rows.values(self.user))

    def pairs(self, user_ids: Any, path: str = "", **conditions: Any) -> Any:
        """Return pairs of a user id and the value at `path` of what the user is related to."""
        value = f"{self.target}{path}"
        asked = {f"{self.user}__in": user_ids, f"{value}__isnull": False}
        asked |= {f"{self.target}{name}": wanted for name, wanted in conditions.items()}
        rows = self.through._base_manager.filter(**asked)
        return rows.values_list(self.user, value)


def many_to_many(name: str) -> Any:
    """Return the many-to-many field of users with this name; None if there is none."""
    try:
        field = auth.get_user_model()._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return field if isinstance(field, ManyToManyField) else None


def groups() -> Relation | None:
    """Return the relation of users to Django's groups; None if they have none.

    A field `groups` that leads to another model is none: its keys are no keys of groups.
    """
    return _relation("groups", Group)


def permissions() -> Relation | None:
    """Return the relation of users to the permissions that they have directly; None if none."""
    return _relation("user_permissions", Permission)


def _relation(name: str, model: type[Any]) -> Relation | None:
    field = many_to_many(name)
    if field is None or not issubclass(field.related_model, model):
        return None
    return Relation(field, model)


def in_groups_of(user_id: Any, path: str = "") -> Q:
    """Return the condition that the group at `path` is one of the user's."""
    relation = groups()
    return Q(pk__in=()) if relation is None else relation.has(user_id, path)


def held_by(user_id: Any) -> Q:
    """Return the condition for permissions that the user has, directly or from a group."""
    relation = permissions()
    direct = Q(pk__in=()) if relation is None else relation.has(user_id)
    return in_groups_of(user_id, "group") | direct


def has_perm(user: Any, permission: str, obj: Any = None, *, last: Any = None) -> bool:
    """Return whether `user.has_perm` says exactly True. An exception means no.

    For an object, a `Rejected` of the site is raised: it holds the answer for the client.

    A user model without `has_perm` is asked in the same way as one that has Django's
    `PermissionsMixin`. `last` is a backend to ask after those of the site; a user model with a
    `has_perm` of its own decides without it.
    """
    try:
        return _ask_user(user, permission, obj, last) is True
    except DatabaseError:
        raise
    except Exception as error:
        if isinstance(error, Rejected) and obj is not None:
            raise
        _failures.of(permission).error(
            "has_perm raised for %s; the action is denied", permission, exc_info=True
        )
        return False


def decides_itself(user_class: Any) -> bool:
    """Return whether a class of users has a `has_perm` of its own, which is not Django's."""
    return getattr(user_class, "has_perm", None) not in _DJANGO_HAS_PERM


_DJANGO_HAS_PERM = (None, PermissionsMixin.has_perm, AnonymousUser.has_perm)


def _ask_user(user: Any, permission: str, obj: Any, last: Any) -> Any:
    """Ask in Django's order: superusers, then each backend until one says yes or denies."""
    own = getattr(type(user), "has_perm", None)
    is_suited = own is not None and last is None and (obj is not None or _suits_django())
    if decides_itself(type(user)) or is_suited:
        return user.has_perm(permission, obj)
    if user.is_active and getattr(user, "is_superuser", False):
        return True
    backends = auth.get_backends() if last is None else [*auth.get_backends(), last]
    try:
        return any(
            ask_backend(backend, user, permission, obj)
            for backend in backends
            if hasattr(backend, "has_perm")
        )
    except PermissionDenied:
        return False


def ask_backend(backend: Any, user: Any, permission: str, obj: Any = None) -> Any:
    """Return the answer of one backend.

    Django's own, and those derived from it, read `groups`, `user_permissions` and `is_superuser` of
    every user. If the user model lacks one of them, they fail, and the others are read here.
    """
    try:
        return backend.has_perm(user, permission, obj)
    except (AttributeError, FieldError, TypeError, ValueError):
        if obj is not None or not isinstance(backend, ModelBackend) or _suits_django():
            raise
    app_label, codename = permission.split(".")
    named = {"content_type__app_label": app_label, "codename": codename}
    return user.is_active and Permission.objects.filter(held_by(user.pk), **named).exists()


def _suits_django() -> bool:
    """Return whether `ModelBackend` works with the site's user model."""
    has_relations = groups() is not None and permissions() is not None
    return has_relations and hasattr(auth.get_user_model(), "is_superuser")

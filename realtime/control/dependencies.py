"""Rechecks the rooms whose rules read a model of the site, when rows of it are saved or deleted:
`rights_depend_on` of a room type."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model
from django.db.models.signals import (
    class_prepared,
    m2m_changed,
    post_delete,
    post_init,
    post_save,
)

from ..rooms import room_types
from ..rooms.room_types import Registered
from ..sparse_log import SparseLogs
from .announcements import announce_saved
from .loaded_values import LoadedValues, columns_of
from .messages import Audience

_failures = SparseLogs(logging.getLogger("realtime.dependencies"))

_M2M = ("post_add", "pre_remove", "pre_clear")
"""While the rows are there, or are known. All run in a transaction of Django's own."""


class Dependency:
    """The rooms of one room type that depend on one model."""

    def __init__(self, owner: Registered, model: type[Model], rooms_of: Callable[..., Any]) -> None:
        self.model: Any = model._meta.concrete_model or model
        self.loaded = LoadedValues([field.attname for field in self.model._meta.concrete_fields])
        self._owner = owner
        self._rooms_of = rooms_of
        self.name = f"{type(owner.room_type).__qualname__}.rights_depend_on[{model.__name__}]"

    # Receivers of signals

    def load(self, instance: Model, **kwargs: Any) -> None:
        self.loaded.remember(instance)

    def saved(
        self, instance: Model, using: str, created: bool, update_fields: Any = None, **kwargs: Any
    ) -> None:
        written = columns_of(self.model, update_fields)
        before = None if created else self._before(instance, using)
        changed = created or bool(self.loaded.changed(instance, written))
        self.loaded.remember_saved(instance, written)
        self._announce([before, instance], using, changed)

    def deleted(self, instance: Model, using: str, **kwargs: Any) -> None:
        self._announce([self._before(instance, using), instance], using)

    def relation_changed(
        self, sender: Any, instance: Any, action: str, using: str, **kwargs: Any
    ) -> None:
        if action in _M2M:
            self._announce(_rows(sender, instance, using=using, **kwargs), using)

    # Their rooms

    def _announce(self, rows: Iterable[Any], using: str, may_lock_out: bool = True) -> None:
        names: set[str] | None = set()
        try:
            names = {name for row in rows if row is not None for name in self._names(row)}
        except Exception:
            # The row is saved, and a right may have gone: fail closed, with every room.
            names = None
            _failures.of(self.name).error(
                "%s raised, so all rights are computed again. Return a dict of captured parts, "
                "such as {'pk': row.order_id}, or None.",
                self.name,
                exc_info=True,
            )
        if names is None:
            announce_saved(using)
            return
        for name in names:
            announce_saved(using, room=name, audience=Audience.NOBODY, may_lock_out=may_lock_out)

    def _names(self, row: Any) -> Iterator[str]:
        found = self._rooms_of(row)
        for captured in [found] if isinstance(found, Mapping) else found or ():
            if None not in captured.values():
                yield self._owner.pattern.reverse(captured)

    def _before(self, instance: Model, using: str) -> Model | None:
        """The row as it was loaded, with what was loaded of it."""
        held = self.loaded.before(instance)
        return self.model.from_db(using, list(held), list(held.values())) if held else None


def _rows(
    through: Any, instance: Any, using: str, reverse: bool, model: Any, pk_set: Any, **kwargs: Any
) -> list[Any]:
    """The rows of a many-to-many relation that are added or removed."""
    owner = model if reverse else type(instance)
    columns = [
        (relation.m2m_field_name(), relation.m2m_reverse_field_name())
        for relation in owner._meta.many_to_many
        if relation.remote_field.through is through
    ]
    own, other = (through._meta.get_field(name).attname for name in columns[0])
    if reverse:
        own, other = other, own
    if pk_set is None:
        return list(through._base_manager.using(using).filter(**{own: instance.pk}))
    return [through(**{own: instance.pk, other: pk}) for pk in pk_set]


_watched: list[Dependency] = []


def connect() -> None:
    """Watch what the room types depend on, also of those that are registered later."""
    room_types.on_register(_watch_all)
    class_prepared.connect(_prepared, dispatch_uid="realtime.dependencies")


def _prepared(sender: type[Model], **kwargs: Any) -> None:
    for dependency in _watched:
        _listen_to(dependency, sender)


def _watch_all(owner: Registered) -> None:
    for model, rooms_of in owner.room_type.rights_depend_on.items():
        dependency = Dependency(owner, _resolved(owner, model), rooms_of)
        _watched.append(dependency)
        for each in apps.get_models(include_auto_created=True):
            _listen_to(dependency, each)


def _resolved(owner: Registered, model: Any) -> type[Model]:
    if not isinstance(model, str):
        return model  # type: ignore[no-any-return]
    try:
        return apps.get_model(model)
    except (LookupError, ValueError) as error:
        raise ImproperlyConfigured(
            f"{type(owner.room_type).__qualname__}.rights_depend_on has {model!r}: {error} Write "
            'the model, or its label as in "shop.Order".'
        ) from error


def _listen_to(dependency: Dependency, model: type[Model]) -> None:
    """Listen to a model if it is the watched one, a proxy or a child: each is a sender."""
    if not issubclass(model, dependency.model):
        return
    receivers: tuple[tuple[Any, Callable[..., None]], ...] = (
        (post_init, dependency.load),
        (post_save, dependency.saved),
        (post_delete, dependency.deleted),
        # If it is the model of a many-to-many relation, which sends nothing else.
        (m2m_changed, dependency.relation_changed),
    )
    for signal, receiver in receivers:
        uid = (id(dependency), receiver.__name__, model._meta.label)
        signal.connect(receiver, sender=model, weak=False, dispatch_uid=uid)

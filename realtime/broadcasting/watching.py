"""Notices which rows are saved and deleted, and which rooms they had before."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import Model
from django.db.models.signals import class_prepared, post_save, pre_delete, pre_save

from .declared import Broadcast, broadcasts_of, on_declared, row_of
from .touched import touch

_KEY = "_realtime_rooms_before"
_FAKE = "__fake__"
"""The module of the models in migrations, which broadcast nothing."""


def start() -> None:
    """Listen to the models of all broadcasts. Called once, when Django is ready."""
    class_prepared.connect(_prepared, dispatch_uid="realtime.broadcasts")
    on_declared(_watch)


def _watch(broadcast: Broadcast) -> None:
    """Listen to the model of a broadcast, and to the children and proxies that it has.

    Django sends a signal with the class that is saved. A listener to all classes would be simpler,
    but makes Django load whatever a site deletes.
    """
    for model in [broadcast.model, *_subclasses(broadcast.model)]:
        _listen(model)


def _subclasses(model: type[Model]) -> list[type[Model]]:
    return [each for child in model.__subclasses__() for each in [child, *_subclasses(child)]]


def _prepared(sender: type[Model], **kwargs: Any) -> None:
    if broadcasts_of(sender):
        _listen(sender)


def _listen(model: type[Model]) -> None:
    if model._meta.abstract or model.__module__ == _FAKE:
        return
    for signal, receiver in (
        (pre_save, _before_save),
        (post_save, _saved),
        (pre_delete, _before_delete),
    ):
        uid = f"realtime.broadcasts.{model._meta.label}"
        signal.connect(receiver, sender=model, weak=False, dispatch_uid=uid)


def _before_save(
    sender: type[Model],
    instance: Model,
    raw: bool,
    using: str,
    update_fields: Collection[str] | None,
    **kwargs: Any,
) -> None:
    before: dict[Broadcast, list[str]] = {}
    instance.__dict__.pop(_KEY, None)
    if raw or not _may_be_stored(instance):
        return
    moving = [broadcast for broadcast in broadcasts_of(sender) if broadcast.rooms.may_move]
    if moving:
        stored = sender._base_manager.using(using).filter(pk=instance.pk).first()
        if stored is not None:
            before = {broadcast: broadcast.rooms_of(stored) for broadcast in moving}
        instance.__dict__[_KEY] = before


def _may_be_stored(instance: Model) -> bool:
    """Whether a save may change a row that exists already."""
    if instance.pk is None:
        return False
    # Django inserts these without a look at the table.
    return not (instance._state.adding and instance._meta.pk.has_default())


def _saved(
    sender: type[Model], instance: Model, created: bool, raw: bool, using: str, **kwargs: Any
) -> None:
    before = instance.__dict__.pop(_KEY, {})
    if raw:
        return  # a fixture: rows that it refers to may be missing
    for broadcast in broadcasts_of(sender):
        if created:
            rooms = []
        elif broadcast.rooms.may_move:
            rooms = before.get(broadcast, [])
        else:
            rooms = broadcast.rooms_of(instance)
        touch(row_of(broadcast, instance, using), rooms)


def _before_delete(sender: type[Model], instance: Model, using: str, **kwargs: Any) -> None:
    for broadcast in broadcasts_of(sender):
        touch(row_of(broadcast, instance, using), broadcast.rooms_of(instance))

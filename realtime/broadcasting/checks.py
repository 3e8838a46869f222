"""The system check of `@broadcasts`: names that a model does not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.utils.module_loading import import_string

from .declared import Broadcast, declared
from .names import attributes_of


def check_broadcasts(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Report what would only be logged when a row is saved."""
    return [
        checks.Error(f"{broadcast} {problem}", hint=hint, obj=broadcast.model, id="realtime.E020")
        for broadcast in declared
        for problem, hint in _problems(broadcast)
    ]


def _problems(broadcast: Broadcast) -> Iterator[tuple[str, str]]:
    model = broadcast.model
    named = broadcast.rooms.attributes | {
        name for text in (broadcast.target, broadcast.into) if text for name in attributes_of(text)
    }
    for name in [*broadcast.fields, *sorted(named)]:
        first = name.partition(".")[0]
        if not _has(model, first):
            near = get_close_matches(first, dir(model), 1)
            yield (
                f"names {name!r}, which {model.__name__} does not have.",
                f"Write {near[0]!r}." if near else "Name a field or an attribute.",
            )
    for text in broadcast.rooms.fixed:
        start, slash, last = text.rpartition("/")
        if slash and last in ("pk", "id"):
            yield "has no braces in the name of its room.", f"Write '{start}/{{{last}}}'."
    for name in broadcast.fields:
        if _is_many(model, name):
            yield (
                f"names {name!r}, which is a relation to many rows.",
                "Its changes are not broadcast. Name a property that returns a list, and call"
                " broadcast(row) when the relation changes.",
            )
    yield from _missing(broadcast)


def _missing(broadcast: Broadcast) -> Iterator[tuple[str, str]]:
    if broadcast.template is not None:
        try:
            get_template(broadcast.template)
        except TemplateDoesNotExist:
            yield f"names the template {broadcast.template!r}, which is missing.", "Add it."
    if isinstance(broadcast.serializer, str):
        try:
            import_string(broadcast.serializer)
        except ImportError as error:
            yield f"can't import its serializer: {error}.", "Write its dotted path."


def _has(model: type[Model], name: str) -> bool:
    try:
        model._meta.get_field(name)
    except FieldDoesNotExist:
        return hasattr(model, name)
    return True


def _is_many(model: type[Model], name: str) -> bool:
    try:
        field: Any = model._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return bool(field.many_to_many or field.one_to_many)

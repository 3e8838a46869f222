"""The messages about a row: its fields, or its HTML."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Literal

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.db.models.fields.files import FieldFile
from django.utils.module_loading import import_string
from rest_framework.utils.encoders import JSONEncoder

from ..fragments.rendering import Action, fragment_body, render
from ..rooms.payloads import encode
from ..rooms.publications import publication_body
from .declared import Broadcast
from .names import attributes_of, filled

Event = Literal["created", "changed", "deleted"]


class _Encoder(JSONEncoder):
    """The rules of DRF: UUIDs as text, times in ISO 8601, durations in seconds, as text. Decimals
    are text too, as in its serializers: a float would lose cents."""

    def default(self, obj: Any) -> Any:
        return str(obj) if isinstance(obj, Decimal) else super().default(obj)


def bodies(broadcast: Broadcast, event: Event, row: Model) -> list[bytes]:
    """Return the publications about a row. Raises what the serializer or the template raises.

    Of a deleted row only the primary key is told: in the room that a row has left, nobody learns
    what it holds now.
    """
    found = []
    if broadcast.fields or broadcast.serializer is not None:
        found.append(publication_body(encode(_data(broadcast, event, row)), None))
    if broadcast.template is not None and event == "deleted":
        found += _removal(broadcast, broadcast.template, row)
    elif broadcast.template is not None:
        found.append(_fragment(broadcast, broadcast.template, event, row))
    return found


def _data(broadcast: Broadcast, event: Event, row: Model) -> Any:
    message = {"event": event, "model": row._meta.label_lower, "pk": row.pk}
    if event != "deleted":
        message["fields"] = _fields(broadcast, row)
    return json.loads(json.dumps(message, cls=_Encoder))


def _fields(broadcast: Broadcast, row: Model) -> Any:
    serializer: Any = broadcast.serializer
    if serializer is None:
        return {name: _value(row, name) for name in broadcast.fields}
    if isinstance(serializer, str):
        serializer = import_string(serializer)
    serialized = serializer(row)
    return serialized.data if isinstance(serializer, type) else serialized


def _value(row: Model, name: str) -> Any:
    try:
        field: Any = row._meta.get_field(name)
    except FieldDoesNotExist:
        value = getattr(row, name)
        return value() if callable(value) else value
    value = getattr(row, field.attname)
    return value.name if isinstance(value, FieldFile) else value


def _fragment(broadcast: Broadcast, template: str, event: Event, row: Model) -> bytes:
    target = broadcast.target and filled(broadcast.target, row)
    action: Action = "replace"
    if event == "created" and broadcast.into is not None:
        action, target = broadcast.insert, filled(broadcast.into, row)
    context = {"object": row, row._meta.model_name or "row": row, "event": event}
    return fragment_body(render(template, context), action, target, template)


def _removal(broadcast: Broadcast, template: str, row: Model) -> list[bytes]:
    """Return the fragment that removes the element of a row, if its target needs no more than the
    primary key. Other attributes are unknown, or not what they were when it was shown."""
    if broadcast.target is None:
        return [fragment_body("", "remove", None, template)]
    key = row._meta.pk
    if not {"pk", key.name, key.attname}.issuperset(attributes_of(broadcast.target)):
        return []
    return [fragment_body("", "remove", filled(broadcast.target, row))]

"""`@broadcasts`: what a model publishes, and where.

Imported by the models of a site, so this needs nothing but Django.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model

from .declared import Broadcast, declare
from .names import RoomNames, Rooms

ModelType = TypeVar("ModelType", bound=type[Model])

EXAMPLE = '@broadcasts("orders/{pk}", fields=["status"])'


def broadcasts(
    rooms: Rooms | Sequence[Rooms],
    *,
    fields: Iterable[str] | None = None,
    serializer: str | Callable[[Any], Any] | None = None,
    template: str | None = None,
    target: str | None = None,
    into: str | None = None,
    insert: Literal["append", "prepend"] = "append",
) -> Callable[[ModelType], ModelType]:
    """Publish the changes of a model's rows to rooms, after the commit.

    `rooms` is a name with attributes of the row in braces, such as "orders/{pk}"; a function from
    a row to a name or names; or a list of these. A name with an attribute that is None is left out.

    Each change becomes one message in each room, which `fields` or `serializer` shapes:

        {"event": "created" | "changed" | "deleted", "model": "shop.order", "pk": 42, "fields": {…}}

    `fields` names the fields and attributes to send; nothing is sent that is not named.
    `serializer` is a DRF serializer class, or a function from the row to a dict, or the dotted path
    of one. "deleted" has no fields. A row that moves from one room to another is deleted in the
    first and created in the second.

    With `template` the row is also rendered, with the context `object` and the name of the model,
    and shown on pages with `{% live %}`: in the elements of this template, or in the element with
    the id `target`, such as "order-{pk}". Then a new row is added to the element with the id
    `into`, at its end or its start: `insert`.
    """
    if fields is None and serializer is None and template is None:
        raise ImproperlyConfigured(
            f"@broadcasts needs fields, a serializer or a template, so that nothing is sent by"
            f" accident. Write {EXAMPLE}."
        )
    if fields is not None and serializer is not None:
        raise ImproperlyConfigured("@broadcasts takes either fields or a serializer.")
    if isinstance(fields, str):
        raise ImproperlyConfigured(
            f"@broadcasts takes a list of fields, not {fields!r}. Write {EXAMPLE}."
        )
    if insert not in ("append", "prepend"):
        raise ImproperlyConfigured(f"insert={insert!r}: write 'append' or 'prepend'.")
    if (target or into) and not template:
        raise ImproperlyConfigured("@broadcasts takes target and into only with a template.")
    names = RoomNames(rooms)

    def decorate(model: ModelType) -> ModelType:
        if not (isinstance(model, type) and issubclass(model, Model)):
            raise ImproperlyConfigured(f"@broadcasts stands on a model, not on {model!r}.")
        look = (template, target, into, insert)
        declare(Broadcast(model, names, tuple(fields or ()), serializer, *look))
        return model

    return decorate

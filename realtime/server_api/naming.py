"""The name of the room of an object."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model

from ..models import Room
from ..rooms.room_types import Registered, registered


def room_name(instance: Any) -> str:
    """Return the name of the room of a model instance, such as `orders/42`.

    It is that of the room type whose `model` is the class of the instance, or the nearest class
    above it; its pattern takes the captured parts from the attributes of the same names. A `Room`
    has its own name.

    Raises `TypeError` for what is no model instance, `ImproperlyConfigured` if no room type has
    this model or several have, and `ValueError` if the instance has no value for a part.
    """
    if isinstance(instance, Room):
        return instance.name
    if not isinstance(instance, Model):
        raise TypeError(
            f"{instance!r} is no model instance, so it has no room. Write the name of the room, or "
            "OrderRoom.name(pk=…)."
        )
    # Not type(): that of request.user is SimpleLazyObject.
    model = instance.__class__
    found = _the_one_for(model)
    captured = {part: getattr(instance, part) for part in found.pattern.captured}
    for part, value in captured.items():
        if value is None or value == "":
            raise ValueError(
                f"{model.__name__}.{part} is {value!r}, so the object has no room yet. "
                "Save it first."
            )
    return found.pattern.reverse(captured)


def _the_one_for(model: type[Model]) -> Registered:
    for owner in model.__mro__:
        found = [each for each in registered() if type(each.room_type).model is owner]
        if len(found) > 1:
            listed = ", ".join(
                f"{type(each.room_type).__qualname__} ({each.pattern.text!r})" for each in found
            )
            raise ImproperlyConfigured(
                f"{model.__name__} has several rooms: {listed}. Say which one you mean, with "
                f"{type(found[0].room_type).__qualname__}.name(…)."
            )
        if found:
            return found[0]
    raise ImproperlyConfigured(
        f"No room type has the model {model.__name__}. Write `model = {model.__name__}` in the "
        "room type for it."
    )

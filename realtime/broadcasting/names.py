"""The names of the rooms of a row."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from ..names import is_personal

Rooms = str | Callable[[Any], str | Iterable[str] | None]
"""A name with attributes in braces, or a function from a row to a name or names."""


class RoomNames:
    """Names rooms after a row."""

    def __init__(self, rooms: Rooms | Sequence[Rooms]) -> None:
        self._parts: list[Rooms] = (
            [rooms] if isinstance(rooms, str) or callable(rooms) else list(rooms)
        )
        if not self._parts or not all(
            isinstance(part, str) or callable(part) for part in self._parts
        ):
            raise ImproperlyConfigured(
                f"@broadcasts takes the name of a room, such as 'orders/{{pk}}', or a function from"
                f" a row to names, or a list of these; not {rooms!r}."
            )
        self._attributes = {
            part: attributes_of(part) for part in self._parts if isinstance(part, str)
        }

    def __str__(self) -> str:
        return ", ".join(
            repr(part) if isinstance(part, str) else getattr(part, "__name__", "a function")
            for part in self._parts
        )

    @property
    def attributes(self) -> set[str]:
        """The attributes of a row in the names, apart from functions."""
        return {name for names in self._attributes.values() for name in names}

    @property
    def fixed(self) -> list[str]:
        """The names without attributes."""
        return [part for part, names in self._attributes.items() if not names]

    @property
    def may_move(self) -> bool:
        """Whether a saved change may give the row other rooms."""
        return bool(self.attributes - {"pk"}) or len(self._attributes) < len(self._parts)

    def of(self, row: Any) -> list[str]:
        """Return the rooms of a row. Raises what the functions of the site raise."""
        rooms: dict[str, None] = {}
        for part in self._parts:
            if isinstance(part, str):
                found: str | Iterable[str] | None = _filled_room(part, row)
            else:
                found = part(row)
            rooms.update(dict.fromkeys([found] if isinstance(found, str) else found or ()))
        return list(rooms)


def _filled_room(text: str, row: Any) -> str | None:
    room = filled(text, row)
    if room is not None and is_personal(room) and not is_personal(text):
        raise ValueError(f"{text!r} would be the personal room {room!r}. Begin it with a word.")
    return room


def filled(text: str, row: Any) -> str | None:
    """Return `text` with the attributes of the row in place of the braces; None if one is None."""
    values = {name: _value(row, name) for name in attributes_of(text)}
    if any(value is None for value in values.values()):
        return None
    return "".join(
        literal + ("" if name is None else str(values[name]))
        for literal, name, *_ in string.Formatter().parse(text)
    )


def attributes_of(text: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ImproperlyConfigured(f"@broadcasts: {text!r}: {error}.") from error
    for _, name, *rest in parts:
        if name is not None and (not name.replace(".", "").isidentifier() or any(rest)):
            raise ImproperlyConfigured(
                f"@broadcasts: {text!r} has '{{{name}}}'. Write the name of an attribute, such as"
                " '{pk}' or '{shop.slug}'."
            )
    return [name for _, name, *_ in parts if name is not None]


def _value(row: Any, name: str) -> Any:
    try:
        return attrgetter(name)(row)
    except AttributeError:
        first = name.partition(".")[0]
        if "." in name and getattr(row, first, None) is None:
            return None
        raise

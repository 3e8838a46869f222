"""Patterns of room names, written as in `urls.py`: `orders/<int:pk>`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls.converters import get_converters
from django.urls.resolvers import RoutePattern

from .. import names

_CAPTURED = re.compile(r"<(?:(?P<converter>[^>:]+):)?(?P<name>[^>]+)>")


class RoomPattern:
    """Finds the captured parts in a room's name, and makes a name of them."""

    def __init__(self, text: str) -> None:
        """Raises `ImproperlyConfigured` with a sentence that names the fix."""
        _check(text)
        route = RoutePattern(text, is_endpoint=True)
        self.text = text
        self.converters: Mapping[str, Any] = route.converters
        self._regex = re.compile(route.regex.pattern)
        self._pieces = re.split(r"<[^>]+>", text)

    def __str__(self) -> str:
        return self.text

    @property
    def captured(self) -> tuple[str, ...]:
        """The names of the parts that are captured, in their order."""
        return tuple(self.converters)

    @property
    def shape(self) -> str:
        """The pattern without the names of its parts: two of one shape match the same names."""
        return re.sub(r"\(\?P<\w+>", "(", self._regex.pattern)

    def match(self, name: str) -> dict[str, Any] | None:
        """Return the captured parts of `name`, None if it does not match.

        `orders/007` does not match `orders/<int:pk>`: an object has one room, not one for each way
        of writing its key.
        """
        found = self._regex.match(name)
        if found is None:
            return None
        captured = found.groupdict()
        try:
            for part, text in captured.items():
                converter = self.converters[part]
                captured[part] = value = converter.to_python(text)
                if str(converter.to_url(value)) != text:
                    return None
        except ValueError:
            return None
        return captured

    def reverse(self, captured: Mapping[str, Any]) -> str:
        """Return the name with these parts. Raises `ValueError` if there is no such room, or if
        the name is read as other parts: it would be the room of another object."""
        if set(captured) != set(self.converters):
            raise ValueError(
                f"The pattern {self.text!r} captures {_listed(self.captured)}, but "
                f"{_listed(captured)} came."
            )
        name, texts = self._pieces[0], {}
        for (part, converter), piece in zip(self.converters.items(), self._pieces[1:], strict=True):
            try:
                texts[part] = str(converter.to_url(captured[part]))
                name += texts[part] + piece
            except (TypeError, ValueError, AttributeError) as error:
                raise self._no_value(part, captured[part]) from error
        is_ours = names.is_room_name(name) and not names.is_personal(name)
        if not is_ours or self.match(name) is None:
            part = next(iter(captured), "")
            raise self._no_value(part, captured.get(part))
        found = self._regex.match(name)
        if found is not None and found.groupdict() != texts:
            raise ValueError(
                f"{name!r} would be the room of {found.groupdict()}, not of {texts}: the pattern "
                f"{self.text!r} can't tell where a part ends. Put a slash between its parts."
            )
        return name

    def _no_value(self, part: str, value: Any) -> ValueError:
        return ValueError(
            f"{part}={value!r} makes no room name of the pattern {self.text!r}. Room names have "
            f"{names.RULE}."
        )


def _listed(parts: Any) -> str:
    return ", ".join(parts) or "nothing"


def _check(text: object) -> None:
    if not isinstance(text, str) or not text:
        raise ImproperlyConfigured(
            f"{text!r} is no pattern of room names. Write one such as 'orders/<int:pk>'."
        )
    if text.startswith("/"):
        raise ImproperlyConfigured(
            f"The pattern {text!r} begins with a slash, and no room name does. "
            f"Write {text.lstrip('/')!r}."
        )
    seen: list[str] = []
    for found in _CAPTURED.finditer(text):
        converter, part = found["converter"], found["name"]
        if converter is not None and converter not in get_converters():
            raise ImproperlyConfigured(
                f"The pattern {text!r} has the unknown converter {converter!r}. "
                f"{_nearest(converter, get_converters())}"
            )
        if not part.isidentifier() or part in ("self", "user", "data"):
            raise ImproperlyConfigured(
                f"The pattern {text!r} captures {part!r}, which is no name that a hook can have "
                "for an argument of its own. Choose another one."
            )
        if part in seen:
            raise ImproperlyConfigured(
                f"The pattern {text!r} captures {part!r} twice. Give one of them another name."
            )
        seen.append(part)
    fixed = _CAPTURED.sub("1", text)
    if "<" in fixed or ">" in fixed:
        raise ImproperlyConfigured(
            f"The pattern {text!r} has a bracket without its partner. Write 'orders/<int:pk>'."
        )
    if "{" in fixed:
        raise ImproperlyConfigured(
            f"The pattern {text!r} has braces, which are for @broadcasts and {{% live %}}. "
            "Write 'orders/<int:pk>'."
        )
    if not names.is_room_name(fixed):
        raise ImproperlyConfigured(
            f"The pattern {text!r} matches no name that a room can have. Use {names.RULE}."
        )


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(known)}."

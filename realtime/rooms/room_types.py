"""Room types: the rooms that a site declares in code, in `<app>/realtime.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls.resolvers import RoutePattern


class RoomType:
    """Base class of the room types of a site.

    Every hook is a plain method, which runs in a thread, or an `async def`. It gets the
    user and the parts of the room's name that the pattern captures. A `can_` hook allows only by
    returning exactly True. Each may raise `realtime.rooms.Rejected("sentence", code=450)`: the
    client gets the sentence and the code, which is from 400 to 1999.
    """

    history_size: int = 100
    history_ttl_seconds: int = 300
    presence: bool = True

    def can_join(self, user: Any, **captured: Any) -> Any:
        """Return whether `user` may join the room. The default is False."""
        return False

    def can_publish(self, user: Any, **captured: Any) -> Any:
        """Return whether `user` may publish too. Called only for users who may join."""
        return True

    def can_moderate(self, user: Any, **captured: Any) -> Any:
        return False

    def on_publish(self, user: Any, data: Any, **captured: Any) -> Any:
        """Handle data that a client publishes. Return other data to replace it, or None to keep it.
        Raise `realtime.rooms.Rejected("sentence")` to refuse it."""
        return None


@dataclass(frozen=True, slots=True)
class CodeRoom:
    """A room of a `RoomType`. `captured` holds the parts of the name that the pattern captures."""

    name: str
    type: RoomType
    captured: dict[str, Any] = field(default_factory=dict)
    pattern: str = ""

    @property
    def history_size(self) -> int:
        return self.type.history_size

    @property
    def history_ttl_seconds(self) -> int:
        return self.type.history_ttl_seconds

    @property
    def presence(self) -> bool:
        return self.type.presence


_types: list[tuple[RoutePattern, RoomType]] = []


def register(pattern: str) -> Callable[[type[RoomType]], type[RoomType]]:
    """Register a room type for the names that match `pattern`, written as in `urls.py`."""

    def decorate(room_type: type[RoomType]) -> type[RoomType]:
        if any(str(known) == pattern for known, _ in _types):
            raise ImproperlyConfigured(
                f"Two room types are registered for {pattern!r}. Give one of them another pattern."
            )
        _types.append((RoutePattern(pattern, is_endpoint=True), room_type()))
        return room_type

    return decorate


def find_in_code(name: str) -> CodeRoom | None:
    """Return the room of a room type, or None. Does not read the database."""
    for pattern, room_type in _types:
        match = pattern.match(name)
        if match is not None:
            return CodeRoom(name, room_type, match[2], str(pattern))
    return None

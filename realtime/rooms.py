"""Which rooms there are: those of the database, and the kinds that a site declares in code.

A site puts its kinds into `<app>/realtime.py`, which is found as `admin.py` is:

    from realtime import rooms

    @rooms.register("orders/<int:pk>")
    class OrderRoom(rooms.RoomType):
        def can_join(self, user, pk):
            return Order.objects.filter(pk=pk, customer=user).exists()
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls.resolvers import RoutePattern

from . import names
from .exceptions import Rejected as Rejected
from .layers.base import Retention
from .models import Room


class RoomType:
    """A kind of room. Every hook may be a plain method, run in a database thread, or `async def`.

    A hook gets the user and the parts of the room's name that the pattern captures. What is not
    exactly True is a no.
    """

    history_size: int = 100
    history_ttl_seconds: int = 300
    presence: bool = True

    def can_join(self, user: Any, **captured: Any) -> Any:
        """Whether `user` may be in the room. No, unless a subclass says yes."""
        return False

    def can_publish(self, user: Any, **captured: Any) -> Any:
        """Whether `user`, who may join, may publish too."""
        return True

    def can_moderate(self, user: Any, **captured: Any) -> Any:
        return False

    def on_publish(self, user: Any, data: Any, **captured: Any) -> Any:
        """Called with what a client publishes. Return other data to replace it, None to keep it;
        raise `realtime.rooms.Rejected("sentence")` to refuse it."""
        return None


@dataclass(frozen=True, slots=True)
class CodeRoom:
    """A room of a `RoomType`: `name` matched its pattern with `captured`."""

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


AnyRoom = Room | CodeRoom
Handler = Callable[..., Any]

_types: list[tuple[RoutePattern, RoomType]] = []
_rpc: dict[str, Handler] = {}
_message_handlers: list[Handler] = []


def register(pattern: str) -> Callable[[type[RoomType]], type[RoomType]]:
    """Declare the kind of room whose names match `pattern`, written as in `urls.py`."""

    def decorate(room_type: type[RoomType]) -> type[RoomType]:
        if any(str(known) == pattern for known, _ in _types):
            raise ImproperlyConfigured(
                f"Two room types are registered for {pattern!r}. Give one of them another pattern."
            )
        _types.append((RoutePattern(pattern, is_endpoint=True), room_type()))
        return room_type

    return decorate


def rpc(method: str) -> Callable[[Handler], Handler]:
    """Declare what answers the rpc `method`: `function(user, data)`, returning a JSON value."""

    def decorate(function: Handler) -> Handler:
        if method in _rpc:
            raise ImproperlyConfigured(
                f"Two functions are registered for the rpc {method!r}. Rename one of them."
            )
        _rpc[method] = function
        return function

    return decorate


def on_send(function: Handler) -> Handler:
    """Declare what gets the data of `send`: `function(user, data)`. There is no reply."""
    _message_handlers.append(function)
    return function


def rpc_handler(method: str) -> Handler | None:
    return _rpc.get(method)


def send_handlers() -> tuple[Handler, ...]:
    return tuple(_message_handlers)


_retention = lru_cache(Retention)  # asked for with every message


def retention(room: AnyRoom) -> Retention:
    """How many of the room's publications are kept, and for how long."""
    return _retention(room.history_size, room.history_ttl_seconds)


def find_in_code(name: str) -> CodeRoom | None:
    """The room that a site declares in code; the database is not asked."""
    for pattern, room_type in _types:
        match = pattern.match(name)
        if match is not None:
            return CodeRoom(name, room_type, match[2], str(pattern))
    return None


def find(name: str) -> AnyRoom | None:
    """The room called `name`, or None where there is none or it is archived. Reads the database."""
    if not names.is_room_name(name):
        return None
    in_code = find_in_code(name)
    if in_code is not None:
        return in_code
    room = Room.objects.filter(name=name, archived=False).first()
    # Some databases compare without regard to case; rooms don't.
    return room if room is not None and room.name == name else None

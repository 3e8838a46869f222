"""Room types: the rooms that a site declares in code, in `<app>/realtime.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.core.exceptions import ImproperlyConfigured

from .. import names
from . import definitions
from .patterns import RoomPattern

if TYPE_CHECKING:
    from django.db.models import Model


class RoomType:
    """Base class of the room types of a site.

    Every hook is a plain method, which runs in a thread, or an `async def`. It gets the user and
    the parts of the room's name that the pattern captures: `def can_join(self, user, pk)`. A `can_`
    hook allows only by returning exactly True. Each but `on_join` and `on_leave` may raise
    `realtime.rooms.Rejected("sentence", code=450)`: the client gets the sentence and the code,
    which is from 400 to 1999.

    The hooks below take any arguments, so that type checkers accept those of a site.
    """

    history_size: int = 100
    history_ttl_seconds: int = 300
    presence: bool = True

    model: ClassVar[type[Model] | None] = None
    """The model of the objects that these rooms are for: `realtime.room_name(order)` is the name of
    its room, from the attributes that are called as the captured parts."""
    rights_depend_on: ClassVar[Mapping[type[Model] | str, Callable[[Any], Any]]] = {}
    """The models that the `can_` hooks read, each with a function from a row to the captured parts
    of its room: `{Membership: lambda membership: {"pk": membership.order_id}}`. When such a row is
    saved or deleted, the rights in the room are computed again. The function may also return a list
    of such dicts, or None for no room. A model may be written as in "shop.Membership"."""

    def can_join(self, *args: Any, **captured: Any) -> Any:
        """`can_join(user, …)`: return whether the user may join the room. The default is False."""
        return False

    def can_publish(self, *args: Any, **captured: Any) -> Any:
        """`can_publish(user, …)`: return whether the user may publish too. Called only for users
        who may join."""
        return True

    def can_moderate(self, *args: Any, **captured: Any) -> Any:
        """`can_moderate(user, …)`: as `can_publish`. The default is False."""
        return False

    def on_publish(self, *args: Any, **captured: Any) -> Any:
        """`on_publish(user, data, …)`: handle data that a client publishes. Return other data to
        replace it, or None to keep it. Raise `realtime.rooms.Rejected("sentence")` to refuse it."""
        return None

    def get_state(self, *args: Any, **captured: Any) -> Any:
        """`get_state(user, …)`: return the state of the room, any JSON value, for a user who enters
        it. It is in the reply, as `data`. What is published after the state was begun follows it:
        nothing is lost between the two, and a message that the state holds already may come."""
        return None

    def on_join(self, *args: Any, **captured: Any) -> Any:
        """`on_join(user, …)`: a signed-in user has entered the room. Called once for a user,
        however many connections the user has in it, after the client has its reply."""

    def on_leave(self, *args: Any, **captured: Any) -> Any:
        """`on_leave(user, …)`: the last connection of a user has left the room or is lost, and none
        came back within `PRESENCE_LEAVE_SECONDS`."""

    @classmethod
    def name(cls, **captured: Any) -> str:
        """Return the name of the room with these captured parts: `OrderRoom.name(pk=42)`.

        Raises `ValueError` if there can be no such room.
        """
        patterns = [each.pattern for each in _types if type(each.room_type) is cls]
        if not patterns:
            raise ImproperlyConfigured(
                f"{cls.__qualname__} is not registered. Write @rooms.register('…') above it."
            )
        fitting = [each for each in patterns if set(each.captured) == set(captured)]
        return (fitting or patterns)[0].reverse(captured)


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


@dataclass(frozen=True, slots=True)
class Registered:
    """A room type with a pattern that it is registered for."""

    pattern: RoomPattern
    room_type: RoomType


AnyRoomType = TypeVar("AnyRoomType", bound=type[RoomType])

_types: list[Registered] = []
_listeners: list[Callable[[Registered], None]] = []


def register(pattern: str) -> Callable[[AnyRoomType], AnyRoomType]:
    """Register a room type for the names that match `pattern`, written as in `urls.py`.

    Raises `ImproperlyConfigured` if the pattern or the class has a mistake. Of several patterns
    that match a name, the one that was registered first has it.
    """

    def decorate(room_type: AnyRoomType) -> AnyRoomType:
        parsed = RoomPattern(pattern)
        if names.is_personal(pattern):
            raise ImproperlyConfigured(
                f"{pattern!r} begins with {names.PERSONAL!r}, as the names of personal rooms do. "
                "Choose another beginning."
            )
        definitions.check(room_type, RoomType, parsed)
        for known in _types:
            _refuse_same_names(parsed, known)
        new = Registered(parsed, room_type())
        _types.append(new)
        for listener in _listeners:
            listener(new)
        return room_type

    return decorate


def _refuse_same_names(pattern: RoomPattern, known: Registered) -> None:
    if pattern.shape == known.pattern.shape:
        raise ImproperlyConfigured(
            f"{pattern.text!r} matches the same room names as {known.pattern.text!r}, which is "
            f"registered for {type(known.room_type).__qualname__}. Change one of them."
        )
    if not pattern.captured and known.pattern.match(pattern.text) is not None:
        raise ImproperlyConfigured(
            f"The room {pattern.text!r} can never be found, because {known.pattern.text!r} was "
            "registered before it, and matches it too. Register it first."
        )


def on_register(listener: Callable[[Registered], None]) -> None:
    """Call `listener` for each room type, those that are registered already included; once, also if
    the apps are loaded again, as by a test with other `INSTALLED_APPS`."""
    if listener in _listeners:
        return
    _listeners.append(listener)
    for known in _types:
        listener(known)


def registered() -> tuple[Registered, ...]:
    """Return all room types with their patterns, in the order in which names are looked up."""
    return tuple(_types)


class PersonalRoom(RoomType):
    """The room of one user, on all of their devices: see `realtime.publish_to_user`. Its rights are
    decided in `rights.backend`, because no rule of the site has a say."""

    presence = False


_personal = PersonalRoom()


def is_personal(room: object) -> bool:
    return isinstance(room, CodeRoom) and room.type is _personal


def find_in_code(name: str) -> CodeRoom | None:
    """Return the personal room, or the room of a room type, or None. Does not read the database."""
    if names.is_personal(name):
        return CodeRoom(name, _personal, pattern=f"{names.PERSONAL}…")
    for each in _types:
        captured = each.pattern.match(name)
        if captured is not None:
            return CodeRoom(name, each.room_type, captured, each.pattern.text)
    return None

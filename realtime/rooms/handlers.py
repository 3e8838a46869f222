"""The site's own functions that handle `rpc`, `send` and `publish` commands of clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, overload

from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured

from .. import names
from ..concurrency import threads
from ..conf import realtime_settings
from ..databases import reads_up_to_date, up_to_date_reads
from . import procedures
from .payloads import decode, encode_result
from .procedures import Method, Right
from .room_types import CodeRoom, RoomType, find_in_code, registered

Handler = Callable[..., Any]


_rpc: dict[str, Handler] = {}


_message_handlers: list[Handler] = []


@overload
def rpc(method: str) -> Callable[[Method], Method]: ...
@overload
def rpc(method: Method) -> Method: ...
@overload
def rpc(*, right: Right = "join") -> Callable[[Method], Method]: ...


def rpc(method: Any = None, *, right: Right = "join") -> Any:
    """Let clients call a function or a method of a room type. It returns a JSON value.

    `@rooms.rpc("orders.count")` registers `function(user, data)` for the rpc of that name.
    `@rooms.rpc` above `def cancel(self, user, data, pk)` of a room type is called as
    `orders/42:cancel`, with what the pattern captures, by users who have `right` in the room.
    Either may have a parameter `client`, for the id of the connection that calls.
    """
    if method is None:
        return lambda function: procedures.mark(function, right)
    if not isinstance(method, str):
        return procedures.mark(method, right)

    def decorate(function: Method) -> Method:
        procedures.refuse_method(function, method)
        if method in _rpc:
            raise ImproperlyConfigured(
                f"Two functions are registered for the rpc {method!r}. Rename one of them."
            )
        _rpc[method] = function
        return function

    return decorate


def on_send(function: Handler) -> Handler:
    """Register a handler of `send`: `function(user, data)`. There is no reply."""
    _message_handlers.append(function)
    return function


def rpc_handler(method: str) -> Handler | None:
    return _rpc.get(method)


@dataclass(frozen=True, slots=True)
class RoomCall:
    """The call of a procedure of a room type: `orders/42:cancel`."""

    room: str
    method: str
    right: Right


def room_call(method: str) -> RoomCall | None:
    """Return which procedure of which room an rpc calls. Whether the room exists, and the user may
    enter it, is not known then."""
    name, _, called = method.rpartition(procedures.SEPARATOR)
    room = find_in_code(name) if names.is_room_name(name) else None
    right = None if room is None else procedures.of_type(type(room.type)).get(called)
    return None if right is None else RoomCall(name, called, right)


def rpc_handlers() -> dict[str, Handler]:
    """Return all rpc functions by their names, those of room types by pattern and name."""
    functions = dict(_rpc)
    for each in registered():
        for name in procedures.of_type(type(each.room_type)):
            function = getattr(each.room_type, name)
            functions[f"{each.pattern.text}{procedures.SEPARATOR}{name}"] = function
    return dict(sorted(functions.items()))


def rpc_names() -> list[str]:
    return list(rpc_handlers())


def send_handlers() -> tuple[Handler, ...]:
    return tuple(_message_handlers)


def has_publish_hook(room: object) -> bool:
    return isinstance(room, CodeRoom) and type(room.type).on_publish is not RoomType.on_publish


async def run_publish_hook(room: object, user: Any, data: bytes, user_id: str) -> bytes:
    """Return the data that the room's `on_publish` makes of published data, or the same data."""
    if not isinstance(room, CodeRoom) or not has_publish_hook(room):
        return data
    hook = room.type.on_publish
    changed = await threads.call_hook(user_id, hook, user, decode(data), **room.captured)
    return data if changed is None else encode_result(changed)


def run_publish_hook_sync(room: object, user: Any, data: bytes) -> bytes:
    """As `run_publish_hook`, in a thread that may block."""
    if not isinstance(room, CodeRoom) or not has_publish_hook(room):
        return data
    hook = room.type.on_publish
    if iscoroutinefunction(hook):
        hook = async_to_sync(hook)
    changed = hook(user, decode(data), **room.captured)
    return data if changed is None else encode_result(changed)


def visit_hook(room: CodeRoom, name: str) -> Handler | None:
    """Return the `on_join` or `on_leave` of a room type, None if it has none of its own."""
    if getattr(type(room.type), name) is getattr(RoomType, name):
        return None
    return getattr(room.type, name)  # type: ignore[no-any-return]


def has_state_hook(room: object) -> bool:
    return isinstance(room, CodeRoom) and type(room.type).get_state is not RoomType.get_state


async def run_state_hook(room: CodeRoom, user: Any, user_id: str) -> bytes:
    """Return what the room's `get_state` returns, as JSON of at most `RECOVERY_MAX_BYTES`.

    Reads come from the database of writes: a replica may not have yet what was published already.
    """
    hook = _up_to_date(room.type.get_state)
    state = await threads.call_hook(user_id, hook, user, **room.captured)
    return encode_result(state, realtime_settings.RECOVERY_MAX_BYTES)


def _up_to_date(hook: Handler) -> Handler:
    if not iscoroutinefunction(hook):
        return reads_up_to_date(hook)

    @wraps(hook)
    async def read(*args: Any, **kwargs: Any) -> Any:
        with up_to_date_reads():
            return await hook(*args, **kwargs)

    return read

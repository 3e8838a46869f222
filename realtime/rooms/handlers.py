"""The site's own functions that handle `rpc`, `send` and `publish` commands of clients."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from inspect import iscoroutinefunction, signature
from typing import Any

from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured

from ..concurrency import threads
from ..conf import realtime_settings
from ..databases import reads_up_to_date, up_to_date_reads
from .payloads import decode, encode_result
from .room_types import CodeRoom, RoomType

Handler = Callable[..., Any]


_rpc: dict[str, Handler] = {}


_message_handlers: list[Handler] = []


def rpc(method: str) -> Callable[[Handler], Handler]:
    """Register the handler of the rpc `method`: `function(user, data)`, returning a JSON value.

    If it has a parameter `client`, it also gets the id of the connection that calls.
    """

    def decorate(function: Handler) -> Handler:
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


@cache
def takes_client(handler: Handler) -> bool:
    """Return whether the handler of an rpc wants the id of the connection."""
    try:
        return "client" in signature(handler).parameters
    except (TypeError, ValueError):
        return False  # a function of C without a signature


def rpc_handler(method: str) -> Handler | None:
    return _rpc.get(method)


def rpc_handlers() -> dict[str, Handler]:
    """Return all rpc functions by their names."""
    return {name: _rpc[name] for name in rpc_names()}


def rpc_names() -> list[str]:
    return sorted(_rpc)


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

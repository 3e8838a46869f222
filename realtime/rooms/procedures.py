"""Procedures of room types: methods with `@rooms.rpc`, which clients call in one room."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, TypeVar, get_args

from django.core.exceptions import ImproperlyConfigured

Right = Literal["join", "publish", "moderate"]
Method = TypeVar("Method", bound=Callable[..., Any])

ARGUMENTS = ("user", "data")
"""What a procedure gets before the captured parts."""
SEPARATOR = ":"
"""Between the name of the room and that of the method, which holds none: `orders/42:cancel`."""
_MARK = "_realtime_rpc_right"


def mark(method: Method, right: Right) -> Method:
    """Make a method of a room type callable by clients that have `right` in the room."""
    name = getattr(method, "__qualname__", "")
    if right not in get_args(Right):
        raise ImproperlyConfigured(
            f"@rooms.rpc(right={right!r}) of {name}: rights are {', '.join(get_args(Right))}."
        )
    if "." not in name or name.rpartition(".")[0].endswith("<locals>"):
        raise ImproperlyConfigured(
            f"{name or method!r} is no method of a room type, so that its rpc needs a name. "
            f'Write @rooms.rpc("{getattr(method, "__name__", "name")}").'
        )
    setattr(method, _MARK, right)
    return method


def refuse_method(function: Callable[..., Any], name: str) -> None:
    """Raise `ImproperlyConfigured` if a method is registered by a name, as functions are."""
    try:
        is_method = next(iter(inspect.signature(function).parameters), "") == "self"
    except (TypeError, ValueError):
        return  # such as a function written in C
    if is_method:
        raise ImproperlyConfigured(
            f"{function.__qualname__} is a method: clients call it in a room, as "
            f"`<room>:{function.__name__}`. Write @rooms.rpc without the name {name!r}."
        )


def of_type(room_type: Any) -> Mapping[str, Right]:
    """Return the procedures of a room type by their names, each with the right that it needs."""
    return _of_type(room_type)  # a class, which mypy does not take as hashable


@cache
def _of_type(room_type: type) -> Mapping[str, Right]:
    found = {name: inspect.getattr_static(room_type, name) for name in dir(room_type)}
    return {name: getattr(it, _MARK) for name, it in found.items() if hasattr(it, _MARK)}


@cache
def takes_client(handler: Callable[..., Any]) -> bool:
    """Return whether the handler of an rpc wants the id of the connection."""
    try:
        return "client" in inspect.signature(handler).parameters
    except (TypeError, ValueError):
        return False  # a function of C without a signature

"""Checks the class of a room type when it is registered, so that a mistake is found at the start
and not by the first client."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from . import procedures
from .patterns import RoomPattern

HOOKS: Mapping[str, tuple[str, ...]] = {
    "can_join": ("user",),
    "can_publish": ("user",),
    "can_moderate": ("user",),
    "on_publish": ("user", "data"),
    "get_state": ("user",),
    "on_join": ("user",),
    "on_leave": ("user",),
}
"""The hooks of a room type, each with its arguments before the captured ones."""
OPTIONS = ("history_size", "history_ttl_seconds", "presence", "model", "rights_depend_on")
_NEAR = 0.75


def check(room_type: type, base: type, pattern: RoomPattern) -> None:
    """Raise `ImproperlyConfigured` if `room_type` is not what a site can have meant."""
    if not (isinstance(room_type, type) and issubclass(room_type, base)):
        raise ImproperlyConfigured(
            f"{room_type!r} is registered for {pattern.text!r}, and is no room type. "
            "Write `class OrderRoom(rooms.RoomType):`."
        )
    _check_names(room_type, base)
    _check_procedures(room_type, base, pattern)
    for hook in HOOKS:
        if is_own(room_type, base, hook):
            _check_hook(room_type, hook, pattern, HOOKS[hook])
    _check_options(room_type)
    _check_model(room_type, pattern)
    _check_dependencies(room_type, pattern)
    for hook in ("on_join", "on_leave"):
        if is_own(room_type, base, hook) and not room_type.presence:  # type: ignore[attr-defined]
            raise ImproperlyConfigured(
                f"{room_type.__qualname__}.{hook} is never called, because presence is False: "
                "presence knows who is in a room. Write presence = True."
            )


def is_own(room_type: type, base: type, hook: str) -> bool:
    """Return whether a room type defines a hook itself."""
    return getattr(room_type, hook) is not getattr(base, hook)


def signature(hook: str, pattern: RoomPattern) -> str:
    """Return how a hook is written for a pattern: `def can_join(self, user, pk)`."""
    before = HOOKS.get(hook, procedures.ARGUMENTS)
    return f"def {hook}({', '.join(('self', *before, *pattern.captured))})"


def _check_names(room_type: type, base: type) -> None:
    ours = [name for name in dir(base) if not name.startswith("_")]
    known = [*HOOKS, *OPTIONS]
    for owner in room_type.__mro__:
        if issubclass(base, owner):
            continue
        for name in vars(owner):
            if name.startswith("_") or name in ours or name in procedures.of_type(room_type):
                continue
            near = difflib.get_close_matches(name, known, n=1, cutoff=_NEAR)
            # `history` is far from `history_size` by its letters.
            near = near or [option for option in OPTIONS if option.startswith(f"{name}_")]
            if near or name.startswith(("can_", "on_")):
                cure = f"Did you mean {near[0]!r}?" if near else f"The hooks are {_listed(HOOKS)}."
                raise ImproperlyConfigured(
                    f"{owner.__qualname__}.{name} is no hook and no option of a room type. {cure} "
                    f"Call it _{name} if it is your own."
                )


def _check_procedures(room_type: type, base: type, pattern: RoomPattern) -> None:
    for name in procedures.of_type(room_type):
        if hasattr(base, name):
            raise ImproperlyConfigured(
                f"{room_type.__qualname__}.{name} is a part of each room type, so that clients "
                "can't call it. Take @rooms.rpc away, or choose another name."
            )
        function = getattr(room_type, name)
        wants_client = procedures.takes_client(function) and "client" not in pattern.captured
        extra = ("client",) if wants_client else ()
        _check_hook(room_type, name, pattern, procedures.ARGUMENTS, extra)


def _check_hook(
    room_type: type,
    hook: str,
    pattern: RoomPattern,
    before: tuple[str, ...],
    extra: tuple[str, ...] = (),
) -> None:
    where = f"{room_type.__qualname__}.{hook}"
    function = getattr(room_type(), hook)
    if not callable(function):
        raise ImproperlyConfigured(f"{where} is {function!r}. Write `{signature(hook, pattern)}`.")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise ImproperlyConfigured(
            f"{where} has a `yield`, so that its call returns a generator. Return the value."
        )
    try:
        taken = inspect.signature(function)
    except (TypeError, ValueError):
        return  # such as a function written in C
    try:
        taken.bind(*before, **dict.fromkeys((*pattern.captured, *extra)))
    except TypeError as error:
        raise ImproperlyConfigured(
            f"{where}{taken} does not fit to the pattern {pattern.text!r}: {error}. "
            f"Write `{signature(hook, pattern)}`."
        ) from error


def _check_options(room_type: Any) -> None:
    for name in ("history_size", "history_ttl_seconds"):
        value = getattr(room_type, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ImproperlyConfigured(
                f"{room_type.__qualname__}.{name} is {value!r}. Write a whole number, 0 or more."
            )
    if not isinstance(room_type.presence, bool):
        raise ImproperlyConfigured(
            f"{room_type.__qualname__}.presence is {room_type.presence!r}. Write True or False."
        )


def _check_model(room_type: Any, pattern: RoomPattern) -> None:
    model = room_type.model
    if model is None:
        return
    if not (isinstance(model, type) and hasattr(model, "_meta")) or model._meta.abstract:
        raise ImproperlyConfigured(
            f"{room_type.__qualname__}.model is {model!r}. Write a model of which there are rows, "
            "such as `model = Order`."
        )
    for part in pattern.captured:
        if part != "pk" and not hasattr(model, part):
            raise ImproperlyConfigured(
                f"The pattern {pattern.text!r} captures {part!r}, which {model.__name__} does not "
                f"have, so that {room_type.__qualname__} can't name the room of an object. Capture "
                "a field, or leave `model` out."
            )


def _check_dependencies(room_type: Any, pattern: RoomPattern) -> None:
    where = f"{room_type.__qualname__}.rights_depend_on"
    parts = ", ".join(f"{part!r}: row.…" for part in pattern.captured)
    written = f"{{Membership: lambda row: {{{parts}}}}}"
    if not isinstance(room_type.rights_depend_on, Mapping):
        raise ImproperlyConfigured(
            f"{where} is {room_type.rights_depend_on!r}. Write a dict from each model to a "
            f"function from its rows to rooms, such as {written}."
        )
    for model, rooms_of in room_type.rights_depend_on.items():
        is_model = isinstance(model, type) and hasattr(model, "_meta")
        if not isinstance(model, str) and (not is_model or model._meta.abstract):
            raise ImproperlyConfigured(
                f"{where} has the key {model!r}. Write a model of which there are rows, or its "
                'label as in "shop.Membership".'
            )
        if not callable(rooms_of):
            raise ImproperlyConfigured(
                f"{where} has {rooms_of!r}. Write a function from a row to rooms, such as "
                f"{written}."
            )


def _listed(names: Any) -> str:
    return ", ".join(names)

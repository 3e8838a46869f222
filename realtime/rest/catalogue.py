"""What a site has declared: its room types, rpc functions and broadcasts, for its documentation."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..broadcasting.declared import declared
from ..rooms import definitions, handlers
from ..rooms.room_types import Registered, RoomType, registered

_KINDS = re.compile(r"<(?:(?P<kind>[^>:]+):)?(?P<name>[^>]+)>")
_QUOTED = re.compile(r"(: |-> )'([^']+)'")
_DOTTED = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the site: a hook, or the handler of an rpc."""

    name: str
    signature: str
    text: str
    is_async: bool


@dataclass(frozen=True, slots=True)
class RoomKind:
    """A room type with one of its patterns."""

    pattern: str
    name: str
    module: str
    text: str
    parts: dict[str, str]
    """The captured parts, each with its converter."""
    hooks: list[Function]
    """Those that the site has written."""
    history_size: int
    history_ttl_seconds: int
    presence: bool
    model: str
    depends_on: list[str]

    @property
    def address(self) -> str:
        """The pattern with its parts in braces: `orders/{pk}`."""
        return _KINDS.sub(lambda found: "{" + found["name"] + "}", self.pattern)

    def has(self, hook: str) -> bool:
        return any(each.name == hook for each in self.hooks)


@dataclass(frozen=True, slots=True)
class Broadcasting:
    """A model whose changes are messages."""

    model: str
    rooms: str
    content: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    rooms: list[RoomKind] = field(default_factory=list)
    rpcs: list[Function] = field(default_factory=list)
    senders: list[Function] = field(default_factory=list)
    broadcasts: list[Broadcasting] = field(default_factory=list)


def read() -> Catalogue:
    """Return what the site has declared by now."""
    return Catalogue(
        rooms=[_room_kind(each) for each in registered()],
        rpcs=[_function(name, handler) for name, handler in handlers.rpc_handlers().items()],
        senders=[_function(each.__name__, each) for each in handlers.send_handlers()],
        broadcasts=[
            Broadcasting(each.model._meta.label, str(each.rooms), _content(each))
            for each in declared
        ],
    )


def _room_kind(each: Registered) -> RoomKind:
    room_type, owner = each.room_type, type(each.room_type)
    return RoomKind(
        pattern=each.pattern.text,
        name=owner.__qualname__.rpartition(".")[2],
        module=owner.__module__,
        text=inspect.cleandoc(owner.__doc__ or ""),
        parts={it["name"]: it["kind"] or "str" for it in _KINDS.finditer(each.pattern.text)},
        hooks=[
            _function(hook, getattr(room_type, hook))
            for hook in definitions.HOOKS
            if definitions.is_own(owner, RoomType, hook)
        ],
        history_size=room_type.history_size,
        history_ttl_seconds=room_type.history_ttl_seconds,
        presence=room_type.presence,
        model="" if owner.model is None else owner.model._meta.label,
        depends_on=[
            model if isinstance(model, str) else model._meta.label
            for model in owner.rights_depend_on
        ],
    )


def _function(name: str, function: Callable[..., Any]) -> Function:
    try:
        signature = _DOTTED.sub("", _QUOTED.sub(r"\1\2", str(inspect.signature(function))))
    except (TypeError, ValueError):
        signature = "(…)"
    return Function(
        name=name,
        signature=signature,
        text=inspect.cleandoc(function.__doc__ or ""),
        is_async=inspect.iscoroutinefunction(function),
    )


def _content(broadcast: Any) -> str:
    if broadcast.template:
        return f"HTML of {broadcast.template}"
    if broadcast.serializer is not None:
        serializer = broadcast.serializer
        return serializer if isinstance(serializer, str) else str(serializer.__name__)
    return ", ".join(broadcast.fields)

"""The room layer, which connects the processes of a site: on Redis, or for one process."""

from functools import cache

from channels.layers import channel_layers
from django.core.exceptions import ImproperlyConfigured

from ..conf import realtime_settings
from .base import RoomLayer

__all__ = ["RoomLayer", "get_layer"]

_HINT = (
    'set CHANNEL_LAYERS["{alias}"]["BACKEND"] to "realtime.layers.redis.RedisRoomLayer" '
    '(or "realtime.layers.memory.MemoryRoomLayer" for one process), or name another alias in '
    'REALTIME["CHANNEL_LAYER"].'
)


def get_layer() -> RoomLayer:
    """Return the layer of `REALTIME["CHANNEL_LAYER"]`, which must be one of this package."""
    alias = realtime_settings.CHANNEL_LAYER
    if alias not in channel_layers:
        raise ImproperlyConfigured(
            f"There is no channel layer {alias!r}: " + _HINT.format(alias=alias)
        )
    layer = channel_layers[alias]
    if not _is_room_layer(type(layer)):  # type: ignore[arg-type]  # classes are hashable
        raise ImproperlyConfigured(
            f"{type(layer).__name__} does not support rooms: " + _HINT.format(alias=alias)
        )
    found: RoomLayer = layer
    return found


@cache
def _is_room_layer(kind: type) -> bool:
    """Return whether a class is a room layer; cached, because a check of a protocol is slow."""
    return issubclass(kind, RoomLayer)

"""What processes share: the room layer of the site, on Redis or within one process."""

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
    """The layer of `REALTIME["CHANNEL_LAYER"]`, which must be one of this package's."""
    alias = realtime_settings.CHANNEL_LAYER
    if alias not in channel_layers:
        raise ImproperlyConfigured(
            f"There is no channel layer {alias!r}: " + _HINT.format(alias=alias)
        )
    layer = channel_layers[alias]
    if not _keeps_rooms(type(layer)):  # type: ignore[arg-type]  # classes are hashable
        raise ImproperlyConfigured(
            f"{type(layer).__name__} can't keep rooms: " + _HINT.format(alias=alias)
        )
    found: RoomLayer = layer
    return found


@cache
def _keeps_rooms(kind: type) -> bool:
    """Asking a protocol is slow, and this is asked for each message and each connection."""
    return issubclass(kind, RoomLayer)

"""The channel layer, which the processes of a site share."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from ..conf import realtime_settings
from ..layers import get_layer

MEMORY = "realtime.layers.memory.MemoryRoomLayer"
REDIS = "realtime.layers.redis.RedisRoomLayer"


def check_layer(**kwargs: Any) -> list[CheckMessage]:
    try:
        get_layer()
    except (ImproperlyConfigured, TypeError, ValueError) as error:
        # Such as `hosts` that are one URL instead of a list of them.
        return [Error(str(error), hint=_hint(), id="realtime.E006")]
    return []


def _hint() -> str | None:
    layers = getattr(settings, "CHANNEL_LAYERS", None)
    layer = layers.get(str(realtime_settings.CHANNEL_LAYER)) if isinstance(layers, dict) else None
    backend = str((layer or {}).get("BACKEND", ""))
    if not backend:
        return "`manage.py realtime init --write` adds a layer for one process."
    if backend.startswith("channels_redis."):
        return (
            "Change the BACKEND alone: hosts and prefix stay, and your own consumers go on to use "
            "group_send and the rest."
        )
    if backend == MEMORY and (layer or {}).get("CONFIG"):
        return (
            f"{MEMORY} serves one process and takes no options. To share rooms between processes, "
            f"name {REDIS}, which takes `hosts` and `prefix`; else remove CONFIG."
        )
    if backend == REDIS:
        return 'Write CONFIG as {"hosts": ["redis://127.0.0.1:6379"], "prefix": "mysite"}.'
    return None

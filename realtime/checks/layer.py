"""The channel layer, which the processes of a site share."""

from __future__ import annotations

import difflib
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from ..conf import realtime_settings
from ..layers import get_layer

MEMORY = "realtime.layers.memory.MemoryRoomLayer"
REDIS = "realtime.layers.redis.RedisRoomLayer"
_OPTIONS = ("hosts", "prefix", "symmetric_encryption_keys", "serializer_format")
_OF_CHANNELS_REDIS = (
    *("expiry", "capacity", "channel_capacity", "group_expiry"),
    *("on_disconnect", "on_reconnect", "channel_layer"),
)
"""Options without effect: a site may keep them when it changes its BACKEND alone."""


def check_layer(**kwargs: Any) -> list[CheckMessage]:
    try:
        get_layer()
    except (ImproperlyConfigured, TypeError, ValueError) as error:
        # Such as `hosts` that are one URL instead of a list of them.
        return [_error(str(error), _hint())]
    return [_unknown_option(key) for key in _unknown_options()]


def _error(text: str, hint: str | None) -> CheckMessage:
    return Error(text, hint=hint, id="realtime.E006")


def _unknown_options() -> list[str]:
    """Return the options that no layer takes, and that the one on Redis would leave unread."""
    layer = _configured()
    if layer.get("BACKEND") != REDIS:
        return []
    return [key for key in layer.get("CONFIG") or {} if key not in (*_OPTIONS, *_OF_CHANNELS_REDIS)]


def _unknown_option(key: str) -> CheckMessage:
    near = difflib.get_close_matches(key, _OPTIONS, n=1)
    return _error(
        f'CHANNEL_LAYERS["{realtime_settings.CHANNEL_LAYER}"]["CONFIG"] has the unknown key '
        f"{key!r}.",
        f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(_OPTIONS)}.",
    )


def _configured() -> dict[str, Any]:
    layers = getattr(settings, "CHANNEL_LAYERS", None)
    layer = layers.get(str(realtime_settings.CHANNEL_LAYER)) if isinstance(layers, dict) else None
    return layer or {}


def _hint() -> str | None:
    layer = _configured()
    backend = str(layer.get("BACKEND", ""))
    if not backend:
        return "`manage.py realtime init --write` adds a layer for one process."
    if backend.startswith("channels_redis."):
        return (
            "Change the BACKEND alone: hosts and prefix stay, and your own consumers go on to use "
            "group_send and the rest."
        )
    if backend == MEMORY and layer.get("CONFIG"):
        return (
            f"{MEMORY} serves one process and takes no options. To share rooms between processes, "
            f"name {REDIS}, which takes `hosts` and `prefix`; else remove CONFIG."
        )
    if backend == REDIS:
        return 'Write CONFIG as {"hosts": ["redis://127.0.0.1:6379"], "prefix": "mysite"}.'
    return None

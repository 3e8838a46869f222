"""What is fine on the machine of a developer only: `manage.py check --deploy`."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Warning

from ..conf import realtime_settings
from ..layers import get_layer
from ..layers.memory import MemoryRoomLayer
from .layer import check_layer


def check_deployment(**kwargs: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    if "query" in realtime_settings.CREDENTIALS:
        messages.append(
            Warning(
                "Tokens are accepted in the query string, which proxies and browsers log.",
                hint='Remove "query" from REALTIME["CREDENTIALS"], and use tickets instead.',
                id="realtime.W002",
            )
        )
    if not check_layer() and isinstance(get_layer(), MemoryRoomLayer):
        messages.append(
            Warning(
                "The channel layer works in one process only; other processes get no messages.",
                hint='Use "realtime.layers.redis.RedisRoomLayer" and a Redis server.',
                id="realtime.W004",
            )
        )
    return messages

"""What is fine on the machine of a developer only: `manage.py check --deploy`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning

from ..layers import get_layer
from ..layers.memory import MemoryRoomLayer
from .layer import check_layer
from .listed import listed


def check_deployment(**kwargs: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    if "query" in listed("CREDENTIALS"):
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


def check_proxies(**kwargs: Any) -> list[CheckMessage]:
    """Report what makes the Origin check refuse the pages of a site behind a proxy."""
    header = settings.SECURE_PROXY_SSL_HEADER
    if header is None:
        return [
            Warning(
                "SECURE_PROXY_SSL_HEADER is not set. If TLS ends at a proxy, the WebSockets of its "
                "https pages are refused.",
                hint='Set it to ("HTTP_X_FORWARDED_PROTO", "https") if the proxy always sets this '
                "header; see docs/proxies.md, also for USE_X_FORWARDED_HOST and NUM_PROXIES. If "
                "the server has TLS or reads the header itself, silence this warning.",
                id="realtime.W019",
            )
        ]
    if not str(header[0]).startswith("HTTP_") or "-" in str(header[0]):
        return [
            Warning(
                f"SECURE_PROXY_SSL_HEADER names {header[0]!r}, which no request has.",
                hint='Write the header as Django has it in request.META: "HTTP_X_FORWARDED_PROTO".',
                id="realtime.W020",
            )
        ]
    return []

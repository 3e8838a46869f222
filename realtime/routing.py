"""The WebSocket application and the lifespan handler, for the `asgi.py` of a site."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from channels.routing import URLRouter
from django.urls import path, re_path

from .consumers import PlainConsumer, RealtimeConsumer
from .hub.node import close_node
from .middleware import JWTAuthMiddleware, refuse
from .transports import servers

logger = logging.getLogger("realtime.routing")


async def not_found(scope: dict[str, Any], receive: Callable[..., Any], send: Any) -> None:
    """Refuse a WebSocket at a path that nothing serves, where `URLRouter` would raise."""
    logger.info("refused a WebSocket at an unknown path: %r", scope["path"][:200])
    await refuse(receive, send)


websocket_urlpatterns = [
    path("ws/", RealtimeConsumer.as_asgi()),
    path("ws/rooms/<path:room>/", PlainConsumer.as_asgi()),
]

websocket_application = JWTAuthMiddleware(
    URLRouter([*websocket_urlpatterns, re_path(r"", not_found)])  # type: ignore[arg-type]
)


async def lifespan(scope: dict[str, Any], receive: Callable[..., Any], send: Any) -> None:
    """The ASGI lifespan protocol, on servers that have it: limit unfinished requests at the start,
    and leave Redis tidy at the end."""
    servers.limit_request_heads(receive)
    while True:
        event = await receive()
        if event["type"] == "lifespan.shutdown":
            await close_node()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "lifespan.startup.complete"})

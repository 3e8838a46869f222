"""The applications for the `asgi.py` of a site: WebSockets, HTTP, and the lifespan handler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from channels.routing import URLRouter
from django.urls import Resolver404, path, re_path, resolve

from .authentication import origins
from .authentication.handshake import with_script_name
from .conf import realtime_settings
from .consumers import PlainConsumer, RealtimeConsumer, SocketIOConsumer
from .hub.node import close_node
from .middleware import JWTAuthMiddleware, refuse
from .sparse_log import SparseLog
from .transports import servers, sse
from .transports.engineio import EngineIO
from .transports.upgrading import is_upgrade, upgrade

logger = logging.getLogger("realtime.routing")
_unknown = SparseLog(logger)
servers.prepare_daphne()

PATH = "".join(f"{part}/" for part in realtime_settings.PATH.split("/") if part)
"""Where the sockets are, below the prefix of the site: "/ws" is meant as "ws/" is."""


async def not_found(scope: dict[str, Any], receive: Callable[..., Any], send: Any) -> None:
    """Refuse a WebSocket at a path that nothing serves, where `URLRouter` would raise."""
    _unknown.warning(
        'refused a WebSocket at an unknown path: %r; ours is %r, see REALTIME["PATH"]',
        scope["path"][:200],
        f"{scope.get('root_path', '')[:100]}/{PATH}",
    )
    await refuse(receive, send)


SOCKETIO_PATH = "socket.io/"
"""Where clients of Socket.IO look by themselves."""


def _at_our_paths(many_rooms: Any, one_room: Any, socketio: Any) -> list[Any]:
    return [
        path(PATH, many_rooms),
        path(f"{PATH}rooms/<path:room>/", one_room),
        path(SOCKETIO_PATH, socketio),
    ]


def _with_upgrades(application: Any) -> Any:
    """The same, and the WebSockets of Socket.IO's clients that begin with polling."""

    async def with_upgrades(scope: dict[str, Any], receive: Callable[..., Any], send: Any) -> None:
        if is_upgrade(scope):
            await upgrade(scope, receive, send, JWTAuthMiddleware)
        else:
            await application(scope, receive, send)

    return with_upgrades


# For a router that also has other consumers: here each socket authenticates its client by itself.
websocket_urlpatterns = _at_our_paths(
    JWTAuthMiddleware(RealtimeConsumer.as_asgi()),
    JWTAuthMiddleware(PlainConsumer.as_asgi()),
    _with_upgrades(JWTAuthMiddleware(SocketIOConsumer.as_asgi())),
)

_websockets = JWTAuthMiddleware(
    URLRouter(
        [
            *_at_our_paths(
                RealtimeConsumer.as_asgi(), PlainConsumer.as_asgi(), SocketIOConsumer.as_asgi()
            ),
            re_path(r"", not_found),  # type: ignore[arg-type]
        ]
    )
)

websocket_application = _with_upgrades(_websockets)


def http_application(django: Any) -> Any:
    """Django's ASGI application together with what it can't serve by itself: event streams, and
    clients of Socket.IO that poll.

    Everything else goes to Django, which also serves the other addresses of `realtime.urls`.
    """

    async def application(scope: dict[str, Any], receive: Callable[..., Any], send: Any) -> None:
        if _is_at_sse(scope):
            servers.mask_access_log(send)
            await _serve_events(scope, receive, send)
        elif _is_at_socketio(scope):
            await _polling(scope, receive, send)
        else:
            await django(scope, receive, send)

    return application


def _is_at_sse(scope: dict[str, Any]) -> bool:
    """Return whether a request is for the address that `realtime.urls` has for event streams."""
    path: str = scope["path"]
    if not path.endswith("/sse/"):
        return False
    scope = with_script_name(scope)
    try:
        found = resolve(scope["path"].removeprefix(scope.get("root_path", "")))
    except Resolver404:
        return False
    return found.app_names[-1:] == ["realtime"] and found.url_name == "sse"


def _is_at_socketio(scope: dict[str, Any]) -> bool:
    path: str = scope["path"]
    if not path.endswith(f"/{SOCKETIO_PATH}"):
        return False
    scope = with_script_name(scope)
    below: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return below == f"/{SOCKETIO_PATH}"


async def _serve_events(scope: dict[str, Any], receive: Callable[..., Any], send: Any) -> None:
    if scope["method"] == "GET":
        await _events(origins.with_page_origin(scope), receive, send)
    else:
        await sse.answer_other_method(scope, send)


_events = JWTAuthMiddleware(sse.event_stream)
_polling = EngineIO(SocketIOConsumer(), JWTAuthMiddleware)


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

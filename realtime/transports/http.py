"""HTTP responses on ASGI servers: whole ones, and what pages of other origins may read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ..authentication import origins
from ..authentication.credentials import header_values
from .asgi import Send

Headers = list[tuple[bytes, bytes]]

NEVER_CACHED = (b"cache-control", b"no-store")
PREFLIGHT_SECONDS = 600


async def respond(
    send: Send, status: int, content: Any = None, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Send a whole response: `content` as JSON, or nothing."""
    body = b"" if content is None else msgspec.json.encode(content)
    start: Headers = [NEVER_CACHED, *headers]
    if content is not None:
        start.append((b"content-type", b"application/json"))
    if status != 204:
        start.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


async def forbid(send: Send) -> None:
    """Refuse a request, without a reason that a page of another origin could learn from."""
    await respond(send, 403, {"detail": "this origin is not allowed", "code": "permission_denied"})


def cors_headers(scope: dict[str, Any]) -> Headers:
    """What lets the page read the response. Its origin was found to be allowed."""
    vary: Headers = [(b"vary", b"Origin")]
    given = header_values(scope, b"origin")
    if len(given) != 1:
        return vary
    return [
        *vary,
        (b"access-control-allow-origin", given[0].encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
    ]


async def answer_preflight(scope: dict[str, Any], send: Send, *, methods: str, names: str) -> None:
    """Answer what a browser asks before a request with `names` among its headers."""
    if origins.refusal(scope) is not None:
        await forbid(send)
        return
    allowed: Headers = [
        (b"access-control-allow-methods", methods.encode()),
        (b"access-control-allow-headers", names.encode()),
        (b"access-control-max-age", str(PREFLIGHT_SECONDS).encode()),
    ]
    await respond(send, 204, headers=[*cors_headers(scope), *allowed])

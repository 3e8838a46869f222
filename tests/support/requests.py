"""Requests, whole and in parts, for the HTTP connections of a server."""

import asyncio

from tests.support.transports import settle

ADDRESS = "192.0.2.7"
HALF_A_LINE = b"GET /half-of-a-request-li"
HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Half: "
REST = b"1\r\n\r\n"
WHOLE = HALF_A_HEAD + REST
HANDSHAKE = (
    b"GET /ws/ HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def answer(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}
    )
    await send({"type": "http.response.body", "body": b"hello"})


async def ended(transport):
    async with asyncio.timeout(10):
        await transport.ended.wait()


async def outlives(transport, connect):
    """Wait until a connection that is unfinished, and began later, was cut."""
    await ended(connect(answer))
    await settle()
    return not transport.is_closing()

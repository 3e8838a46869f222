"""Handshakes of WebSockets that are written by hand."""

from __future__ import annotations

import asyncio


async def raw_handshake(port, path, *headers, host=None, tls=None):
    """Return the status that a server answers a handshake with, 0 if it gives none. `host` "" sends
    no Host header."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    host = f"127.0.0.1:{port}" if host is None else host
    lines = [
        f"GET {path} HTTP/1.1",
        *([f"Host: {host}"] if host else []),
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
        "",
        "",
    ]
    writer.write("\r\n".join(lines).encode())
    try:
        async with asyncio.timeout(60):
            status = await reader.readline()
    finally:
        writer.transport.abort()  # also of TLS, which would say goodbye first
        await asyncio.sleep(0)
    return int(status.split()[1]) if status else 0

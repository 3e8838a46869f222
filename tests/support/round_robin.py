"""A load balancer without any memory: each connection goes to the next server."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def round_robin(*ports):
    """Yield the port that stands for all of `ports`."""
    turns = itertools.cycle(ports)
    tasks = set()

    async def pump(reader, writer):
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        with suppress(ConnectionError):
            writer.close()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            there, back = await asyncio.open_connection("127.0.0.1", next(turns))
            await asyncio.gather(pump(reader, back), pump(there, writer))
        finally:
            writer.close()
            tasks.discard(asyncio.current_task())

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

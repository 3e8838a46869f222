"""RPC methods of the measured site: an echo, and what the server has counted."""

import os
from typing import Any

from realtime import rooms

from . import counted, queries

if os.environ.get(counted.SWITCH):
    counted.start()


@rooms.rpc("echo")
async def echo(user: Any, data: Any) -> Any:
    return data


@rooms.rpc("queries")
async def count_queries(user: Any, data: Any) -> int:
    return queries.asked()


@rooms.rpc("mark")
async def mark(user: Any, data: Any) -> int:
    return counted.mark(data)

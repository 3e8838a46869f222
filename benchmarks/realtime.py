"""RPC methods of the measured site: an echo, and the number of database queries."""

from typing import Any

from realtime import rooms

from . import queries


@rooms.rpc("echo")
async def echo(user: Any, data: Any) -> Any:
    return data


@rooms.rpc("queries")
async def count_queries(user: Any, data: Any) -> int:
    return queries.asked()

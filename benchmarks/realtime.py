"""What the measured site declares: an echo."""

from typing import Any

from realtime import rooms


@rooms.rpc("echo")
async def echo(user: Any, data: Any) -> Any:
    return data

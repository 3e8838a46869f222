"""Running commands and scripts on one Redis, with one error when it does not answer in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis import asyncio as aioredis
from redis.exceptions import NoScriptError, RedisError

from ..exceptions import LayerUnavailable
from .scripts import Call

TIMEOUT_SECONDS = 2


@asynccontextmanager
async def available() -> AsyncIterator[None]:
    """Turns what Redis does when it is away into one error, in time."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            yield
    except (RedisError, OSError, TimeoutError) as error:
        raise LayerUnavailable("Redis does not answer") from error


def evalsha(client: Any, call: Call) -> Any:
    """Run a script that Redis knows already, or add it to a pipeline."""
    return client.evalsha(call.script.sha, len(call.keys), *call.keys, *call.args)


async def run(client: aioredis.Redis, call: Call) -> Any:
    try:
        return await evalsha(client, call)
    except NoScriptError:
        return await client.eval(call.script.text, len(call.keys), *call.keys, *call.args)


def run_sync(client: Any, call: Call) -> Any:
    try:
        return evalsha(client, call)
    except NoScriptError:
        return client.eval(call.script.text, len(call.keys), *call.keys, *call.args)


async def run_all(client: aioredis.Redis, calls: Sequence[Call]) -> list[Any]:
    """Run scripts in one round trip."""
    try:
        return await _pipeline(client, calls)
    except NoScriptError:
        await load(client, calls)
        return await _pipeline(client, calls)


async def load(client: aioredis.Redis, calls: Collection[Call]) -> None:
    for script in {call.script for call in calls}:
        await client.script_load(script.text)


async def _pipeline(client: aioredis.Redis, calls: Sequence[Call]) -> list[Any]:
    async with client.pipeline(transaction=False) as pipeline:
        for call in calls:
            evalsha(pipeline, call)
        return await pipeline.execute()

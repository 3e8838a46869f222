"""A connected client of a test, for code without coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeVar

from asgiref.sync import ThreadSensitiveContext, sync_to_async

from ..hub.node import close_node
from .aclient import QUIET_SECONDS, AsyncClient
from .commits import run_waiting
from .messages import Message
from .sharing import SharedConnections

Result = TypeVar("Result")


class Portal:
    """An event loop that runs while a test waits for something, in the test's own thread."""

    def __init__(self, shared: SharedConnections) -> None:
        self._shared = shared
        self._loop = asyncio.new_event_loop()
        self._context: Context = copy_context()
        self._thread: Any = ThreadSensitiveContext()
        self._run(self._begin())

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        # Here, because they are the test's: they may query its database, and block.
        run_waiting()
        return self._run(coroutine)

    def close(self) -> None:
        self._run(self._end())
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        task = self._loop.create_task(coroutine, context=self._context)
        return self._loop.run_until_complete(task)

    async def _begin(self) -> None:
        # A thread for the queries of `async def` hooks, with the connections of the test.
        await self._thread.__aenter__()
        await sync_to_async(self._shared.lend)()

    async def _end(self) -> None:
        await close_node()
        await self._thread.__aexit__(None, None, None)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Client:
    """As `AsyncClient`, whose methods it has, without `await`."""

    def __init__(self, portal: Portal, client: AsyncClient) -> None:
        self._portal, self._client = portal, client

    def __enter__(self) -> Client:
        self.connect()
        return self

    def __exit__(self, *error: object) -> None:
        self.drop()

    def connect(self) -> dict[str, Any]:
        return self._portal.run(self._client.connect())

    def reconnect(self) -> dict[str, bool]:
        return self._portal.run(self._client.reconnect())

    def drop(self) -> None:
        self._portal.run(_call(self._client.drop))

    close = drop

    def expire(self) -> None:
        self._portal.run(_call(self._client.expire))

    @property
    def id(self) -> str:
        return self._client.id

    @property
    def rooms(self) -> set[str]:
        return self._client.rooms

    @property
    def unsubscribed(self) -> dict[str, tuple[int, str]]:
        return self._client.unsubscribed

    @property
    def notices(self) -> list[str]:
        return self._client.notices

    def join(self, room: str, *, token: str = "") -> Any:
        return self._portal.run(self._client.join(room, token=token))

    def leave(self, room: str) -> None:
        self._portal.run(self._client.leave(room))

    def publish(self, room: str, data: Any) -> None:
        self._portal.run(self._client.publish(room, data))

    def rpc(self, method: str, data: Any = None) -> Any:
        return self._portal.run(self._client.rpc(method, data))

    def history(self, room: str, limit: int = 100) -> list[Any]:
        return self._portal.run(self._client.history(room, limit))

    def presence(self, room: str) -> set[str]:
        return self._portal.run(self._client.presence(room))

    def receive(self, room: str = "") -> Any:
        return self._portal.run(self._client.receive(room))

    def receive_message(self, room: str = "") -> Message:
        return self._portal.run(self._client.receive_message(room))

    def assert_nothing_received(self, room: str = "", seconds: float = QUIET_SECONDS) -> None:
        self._portal.run(self._client.assert_nothing_received(room, seconds))

    def assert_unsubscribed(self, room: str) -> None:
        self._portal.run(self._client.assert_unsubscribed(room))

    def assert_closed(self, code: int | None = None) -> None:
        self._portal.run(self._client.assert_closed(code))


async def _call(function: Any) -> None:
    function()

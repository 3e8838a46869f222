"""What surrounds a test: nothing of it reaches the next one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from channels.layers import channel_layers

from ..authentication import users
from ..conf import realtime_settings
from ..control import announcements
from ..rights import grants
from .aclient import AsyncClient
from .client import Client, Portal
from .commits import commits_of_tests, run_waiting
from .layer import TestLayer
from .messages import Message
from .sharing import SharedConnections, shared_connections

ANYTHING: Any = object()
"""Stands for any data."""


class Realtime:
    """The live side of the site in a test: clients, and what was published."""

    def __init__(self, layer: TestLayer, shared: SharedConnections) -> None:
        self._layer = layer
        self._shared = shared
        self._portal: Portal | None = None
        self._clients: list[Client] = []

    def client(self, user: Any = None, **credential: Any) -> Client:
        """A client that is not connected yet: `with realtime.client(alice) as client:`, or
        `client.connect()`. It is disconnected at the end of the test at the latest."""
        if self._portal is None:
            self._portal = Portal(self._shared)
        client = Client(self._portal, AsyncClient(user, **credential))
        self._clients.append(client)
        return client

    def aclient(self, user: Any = None, **credential: Any) -> AsyncClient:
        """As `client`, for coroutines: `async with realtime.aclient(alice) as client:`."""
        return AsyncClient(user, **credential)

    @property
    def published(self) -> list[Message]:
        """All messages that were published since the test began, by the site and by clients."""
        run_waiting()
        return list(self._layer.published)

    def clear(self) -> None:
        """Forget what was published."""
        run_waiting()
        self._layer.published.clear()

    def assert_published(
        self, room: str, data: Any = ANYTHING, *, times: int | None = None
    ) -> None:
        """Fail unless `data` was published to `room`: at least once, or exactly `times` times."""
        found = self._find(room, data)
        if not found if times is None else len(found) != times:
            what = "a message" if data is ANYTHING else repr(data)
            count = "" if times is None else f" {times} time(s), but {len(found)} time(s)"
            raise AssertionError(f"{what} was not published to {room!r}{count}. {self._told()}")

    def assert_not_published(self, room: str = "", data: Any = ANYTHING) -> None:
        """Fail if something was published, to `room` and with `data` if they are given."""
        if self._find(room, data):
            raise AssertionError(f"nothing like this should have been published. {self._told()}")

    @contextmanager
    def without_redis(self) -> Iterator[None]:
        """Inside of it, Redis is away."""
        with self._layer.away():
            yield

    def close(self) -> None:
        """Disconnect the clients. Called at the end of the test."""
        if self._portal is not None:
            for client in self._clients:
                client.close()
            self._portal.close()

    def _find(self, room: str, data: Any) -> list[Message]:
        return [
            message
            for message in self.published
            if room in ("", message.room) and data in (ANYTHING, message.data)
        ]

    def _told(self) -> str:
        lines = [f"  {message.room}: {message.data!r}" for message in self._layer.published]
        return "Published:\n" + "\n".join(lines) if lines else "Nothing was published."


@contextmanager
def realtime_of_test() -> Iterator[Realtime]:
    """Surround a test, in the thread whose database connections it uses."""
    layer = TestLayer()
    alias = realtime_settings.CHANNEL_LAYER
    _forget()
    with ExitStack() as stack:
        stack.callback(_forget)
        stack.callback(_put_back, alias, channel_layers.set(alias, layer))
        shared = stack.enter_context(shared_connections())
        stack.enter_context(commits_of_tests())
        realtime = Realtime(layer, shared)
        stack.callback(realtime.close)
        yield realtime


def _put_back(alias: str, layer: Any) -> None:
    """Give a site its layer again; it makes one at the first use, so there may be none yet."""
    channel_layers.set(alias, layer)
    if layer is None:
        del channel_layers.backends[alias]


def _forget() -> None:
    """Rows with the same keys are others in the next test."""
    announcements.wait_until_tried()
    users.forget()
    grants.forget()

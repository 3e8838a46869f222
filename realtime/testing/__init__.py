"""For the tests of a site: clients without a server, and what was published.

docs/testing.md has examples. With pytest, the fixture `realtime` is there without an import.
"""

from __future__ import annotations

from typing import Any

from .aclient import AsyncClient
from .client import Client
from .environment import ANYTHING, Realtime, realtime_of_test
from .messages import Closed, Message, Refused

__all__ = [
    "ANYTHING",
    "AsyncClient",
    "Client",
    "Closed",
    "Message",
    "Realtime",
    "RealtimeTestMixin",
    "Refused",
    "realtime_of_test",
]


class RealtimeTestMixin:
    """For Django's `TestCase` and `TransactionTestCase`: gives each test `self.realtime`."""

    realtime: Realtime

    def setUp(self) -> None:
        test: Any = self
        self.realtime = test.enterContext(realtime_of_test())
        test_case: Any = super()
        test_case.setUp()
